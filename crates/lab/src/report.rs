//! The page.

use crate::experiment::{Experiment, Finding, Verdict};
use crate::kept::{Kept, Settings};
use wgpu_batchnorm_report::Page;
use wgpu_batchnorm_report::page::{Column, Line, Tone};

const LEAD: &str = "Thirteen claims about batch normalization, put to the test with small networks that learn handwritten \
    digits (1,500 images of 8×8 pixels to train with, 297 to test with). Thresholds were set before the \
    measurements; steps, depths, rates and numbers of seeds of experiments 5, 6, 9, 10 and 11 were changed after first \
    runs, to fit the time. Where several networks were trained, the mean is given with the least and the largest of \
    them.";

/// The page of all experiments, with what came of those that were run.
pub(crate) fn page(results: &[(&Experiment, Option<Kept>)], settings: &Settings) -> String {
    let mut page = Page::new("What batch normalization does", LEAD);
    if settings.quick {
        page.warning("this was a quick run of a few steps: its numbers and verdicts say nothing.");
    }
    page.fact("device", &settings.device);
    let seconds: f64 = results.iter().filter_map(|(_, kept)| Some(kept.as_ref()?.seconds)).sum();
    page.fact("time of all experiments", format!("{:.0} s", seconds));
    page.fact("the layer", "burn-batchnorm, in networks of burn 0.22");
    page.fact("the digits", "E. Alpaydin and C. Kaynak, 1998, UCI repository, CC BY 4.0");

    let said = |kept: &Option<Kept>| match kept {
        Some(kept) => (kept.outcome.verdict, kept.outcome.because.clone()),
        None => (Verdict::NotRun, String::new()),
    };
    let said: Vec<_> = results.iter().map(|(experiment, kept)| (*experiment, said(kept))).collect();
    let line = |(experiment, (verdict, _)): &(&Experiment, (Verdict, String))| Line {
        number: experiment.number,
        name: experiment.title,
        tone: tone(*verdict),
        mark: verdict.name(),
        text: experiment.claim,
    };
    page.heading("Verdicts", "");
    page.overview(&said.iter().map(line).collect::<Vec<_>>());

    for (experiment, kept) in results {
        let Experiment { number, title, claim, source, method, slug, .. } = experiment;
        page.section(slug, &format!("{number}. {title}"));
        page.terms(&[("Claim", claim), ("Source", source), ("Method", method)]);
        let Some(kept) = kept else {
            page.verdict(Tone::Unknown, Verdict::NotRun.name(), "");
            continue;
        };
        let verdict = kept.outcome.verdict;
        page.verdict(tone(verdict), verdict.name(), &kept.outcome.because);
        add(&mut page, &kept.outcome.findings);
    }
    page.render()
}

fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Held => Tone::Good,
        Verdict::Partly => Tone::Mixed,
        Verdict::NotHeld => Tone::Bad,
        Verdict::NotRun => Tone::Unknown,
    }
}

/// Charts that follow one another stand side by side where there is room.
fn add(page: &mut Page, findings: &[Finding]) {
    for finding in findings {
        match finding {
            Finding::Text(text) => page.paragraph(text),
            Finding::Table { title, head, rows } => {
                let is_number = |column: usize| {
                    let begins =
                        |cell: &String| cell.starts_with(|c: char| c.is_ascii_digit() || "-−–".contains(c));
                    rows.iter().filter_map(|row| row.get(column)).all(begins)
                };
                let columns: Vec<_> = head
                    .iter()
                    .enumerate()
                    .map(|(index, name)| Column { name, is_number: is_number(index) })
                    .collect();
                page.subheading(title);
                page.table(&columns, rows);
            }
            Finding::Chart { title, svg } if width(svg) > crate::chart::WIDTH => page.chart(title, svg, &[]),
            Finding::Chart { title, svg } => page.small_chart(title, svg),
        }
    }
}

/// Of the widest SVG element, in pixels; the marks of a legend are such, too.
fn width(markup: &str) -> u32 {
    let tags = markup.split("<svg ").skip(1).filter_map(|rest| rest.split('>').next());
    let widths = tags.filter_map(|tag| tag.split_once("width=\"")?.1.split('"').next()?.parse().ok());
    widths.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::width;

    #[test]
    fn the_widest_chart_counts() {
        assert_eq!(
            width("<p>a</p><svg width=\"16\"></svg><svg role=\"img\" width=\"960\" height=\"1\">"),
            960
        );
        assert_eq!(width("<svg viewBox=\"0 0 1 1\">"), 0);
    }
}
