//! A page in one file: no script, and nothing that a browser would fetch.

use crate::chart::{GRID, INK, LIMIT, SERIES, hex};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The page: built up from the top, then [rendered](Page::render).
pub struct Page {
    title: String,
    lead: String,
    facts: Vec<(String, String)>,
    warnings: Vec<String>,
    sections: Vec<Markup>,
}

/// What a colour or mark of a chart stands for.
pub enum Key<'a> {
    /// A series by its colour.
    Color(usize, &'a str),
    /// A disc.
    Circle(&'a str),
    /// A triangle.
    Triangle(&'a str),
    /// The line that nothing should cross.
    Limit(&'a str),
}

/// How something turned out, as its mark's colour tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// In between.
    Mixed,
    /// Not as it should be.
    Bad,
    /// Not known.
    Unknown,
}

/// A line of an overview: a name, a mark with a word in it, and a sentence.
pub struct Line<'a> {
    /// In front of the name.
    pub number: u32,
    /// What turned out.
    pub name: &'a str,
    /// How.
    pub tone: Tone,
    /// The same in words.
    pub mark: &'a str,
    /// And why.
    pub text: &'a str,
}

/// A column of a table.
#[derive(Clone, Copy)]
pub struct Column<'a> {
    /// At its head.
    pub name: &'a str,
    /// Whether its cells line up to the right.
    pub is_number: bool,
}

impl Page {
    /// A page with a title and a sentence below it.
    pub fn new(title: &str, lead: &str) -> Self {
        let (title, lead) = (title.to_owned(), lead.to_owned());
        Self { title, lead, facts: Vec::new(), warnings: Vec::new(), sections: Vec::new() }
    }

    /// Adds a line about the machine or the run.
    pub fn fact(&mut self, name: &str, value: impl ToString) {
        self.facts.push((name.to_owned(), value.to_string()));
    }

    /// Adds a sentence that a reader must not miss.
    pub fn warning(&mut self, warning: impl ToString) {
        self.warnings.push(warning.to_string());
    }

    /// Adds a heading and a text below it.
    pub fn heading(&mut self, name: &str, text: &str) {
        self.sections.push(html! { h2 { (name) } @if !text.is_empty() { p { (text) } } });
    }

    /// Adds a chart, an SVG element of [`crate::chart`], and what its colours and marks stand for.
    pub fn chart(&mut self, caption: &str, svg: &str, keys: &[Key<'_>]) {
        self.sections.push(html! { figure { (figure(caption, svg, keys)) } });
    }

    /// Adds a table; cells that end in `!` are marked.
    pub fn table(&mut self, columns: &[Column<'_>], rows: &[Vec<String>]) {
        let class = |index: usize, cell: &str| {
            let is_number = columns.get(index).is_some_and(|column| column.is_number);
            match (is_number, cell.ends_with('!') || cell.contains("FAIL")) {
                (true, true) => "number doubtful",
                (true, false) => "number",
                (false, true) => "doubtful",
                (false, false) => "text",
            }
        };
        self.sections.push(html! {
            div.table {
                table {
                    thead { tr { @for (index, column) in columns.iter().enumerate() {
                        th scope="col" class=(class(index, "")) { (column.name) }
                    } } }
                    tbody { @for row in rows { tr { @for (index, cell) in row.iter().enumerate() {
                        td class=(class(index, cell)) { (cell) }
                    } } } }
                }
            }
        });
    }

    /// Adds lines of text as a list.
    pub fn list(&mut self, lines: &[String]) {
        self.sections.push(html! { ul { @for line in lines { li { (line) } } } });
    }

    /// Adds a heading that an address may end in: `#` and the name of the place.
    pub fn section(&mut self, place: &str, name: &str) {
        self.sections.push(html! { h2 id=(place) { (name) } });
    }

    /// Adds a chart of half the page's width, beside the next one where there is room.
    pub fn small_chart(&mut self, caption: &str, svg: &str) {
        self.sections.push(html! { figure.small { (figure(caption, svg, &[])) } });
    }

    /// Adds a paragraph.
    pub fn paragraph(&mut self, text: &str) {
        self.sections.push(html! { p { (text) } });
    }

    /// Adds a heading of a part of a section.
    pub fn subheading(&mut self, name: &str) {
        self.sections.push(html! { h3 { (name) } });
    }

    /// Adds terms with what there is to say about each.
    pub fn terms(&mut self, terms: &[(&str, &str)]) {
        self.sections.push(html! {
            dl.terms { @for (term, text) in terms { div { dt { (term) } dd { (text) } } } }
        });
    }

    /// Adds a sentence with a mark in front.
    pub fn verdict(&mut self, tone: Tone, mark: &str, text: &str) {
        self.sections.push(html! { p.verdict { (badge(tone, mark)) " " (text) } });
    }

    /// Adds an overview.
    pub fn overview(&mut self, lines: &[Line<'_>]) {
        self.sections.push(html! {
            ol.overview { @for line in lines {
                li {
                    span.count { (line.number) }
                    strong { (line.name) }
                    (badge(line.tone, line.mark))
                    span.why { (line.text) }
                }
            } }
        });
    }

    /// The page as HTML.
    pub fn render(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    // The browser itself holds the page to what it promises.
                    meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) }
                    style { (PreEscaped(style())) }
                }
                body {
                    main {
                        h1 { (self.title) }
                        p.lead { (self.lead) }
                        @for warning in &self.warnings { p.warning { strong { "Note: " } (warning) } }
                        @if !self.facts.is_empty() {
                            dl { @for (name, value) in &self.facts { div { dt { (name) } dd { (value) } } } }
                        }
                        @for section in &self.sections { (section) }
                    }
                }
            }
        };
        page.into_string()
    }
}

/// What the colours and marks of a chart stand for, as HTML to stand in front of it.
pub fn legend(keys: &[Key<'_>]) -> String {
    legend_of(keys).into_string()
}

fn legend_of(keys: &[Key<'_>]) -> Markup {
    html! { @if !keys.is_empty() { ul.legend { @for key in keys { li { (swatch(key)) } } } } }
}

fn figure(caption: &str, svg: &str, keys: &[Key<'_>]) -> Markup {
    html! {
        figcaption { (caption) }
        (legend_of(keys))
        div.chart { (PreEscaped(svg)) }
    }
}

fn badge(tone: Tone, mark: &str) -> Markup {
    let class = match tone {
        Tone::Good => "badge good",
        Tone::Mixed => "badge mixed",
        Tone::Bad => "badge bad",
        Tone::Unknown => "badge unknown",
    };
    html! { span class=(class) { (mark) } }
}

fn swatch(key: &Key<'_>) -> Markup {
    let shape = match key {
        Key::Color(index, _) => {
            format!(
                "<rect x=\"1\" y=\"3\" width=\"14\" height=\"10\" fill=\"{}\"/>",
                hex(crate::chart::series(*index))
            )
        }
        Key::Circle(_) => format!("<circle cx=\"8\" cy=\"8\" r=\"5\" fill=\"{}\"/>", hex(INK)),
        Key::Triangle(_) => format!("<polygon points=\"8,2 14,13 2,13\" fill=\"{}\"/>", hex(INK)),
        Key::Limit(_) => {
            format!(
                "<line x1=\"0\" y1=\"8\" x2=\"16\" y2=\"8\" stroke=\"{}\" stroke-width=\"2\"/>",
                hex(LIMIT)
            )
        }
    };
    let (Key::Color(_, name) | Key::Circle(name) | Key::Triangle(name) | Key::Limit(name)) = key;
    html! {
        svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" { (PreEscaped(shape)) }
        " " (name)
    }
}

fn style() -> String {
    [COLORS, STYLE, &chart_style()].concat()
}

/// The style rules of charts for a page of one's own. Charts name their colours by those of the light page; here they
/// get their values, which are CSS variables: [`COLORS`] has them for light and dark.
pub fn chart_style() -> String {
    let mut rules = CHART_STYLE.to_owned();
    let named =
        [(INK, "ink"), (GRID, "grid"), (LIMIT, "limit")].map(|(color, name)| (color, name.to_owned()));
    let series = SERIES.into_iter().enumerate().map(|(index, color)| (color, format!("series-{index}")));
    for (color, name) in named.into_iter().chain(series) {
        let color = hex(color);
        rules.push_str(&format!(
            "svg [fill=\"{color}\"]{{fill:var(--{name})}}svg [stroke=\"{color}\"]{{stroke:var(--{name})}}\n"
        ));
    }
    rules
}

/// The colours of a page and its charts, as CSS variables, for light and dark.
pub const COLORS: &str = "
:root{--paper:#fff;--ink:#1a1a1a;--soft:#5c5c5c;--grid:#ddd;--limit:#b00020;--panel:#f6f6f4;--mark:#b00020;
--series-0:#0072b2;--series-1:#d55e00;--series-2:#009e73;--series-3:#cc79a7;--series-4:#e69f00;--series-5:#56b4e9;
--series-6:#8c6bb1;--series-7:#7f7f7f}
@media (prefers-color-scheme:dark){:root{--paper:#16181b;--ink:#e6e6e3;--soft:#a5a8ab;--grid:#34383d;--limit:#ff6b81;
--panel:#1f2226;--mark:#ff8a9a;--series-0:#4aa8e0;--series-1:#f08a4b;--series-2:#3cc79c;--series-3:#e3a1c6;
--series-4:#f2be4e;--series-5:#8ed0f5;--series-6:#b79be0;--series-7:#a8a8a8}}
";

const STYLE: &str = "
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif}
main{max-width:1180px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:26px;line-height:1.2;margin:0 0 4px}
h2{font-size:19px;margin:40px 0 6px}
p{margin:6px 0 12px;max-width:80ch}
.lead{color:var(--soft)}
.warning{border-left:4px solid var(--mark);background:var(--panel);padding:8px 12px}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:8px 24px;background:var(--panel);padding:14px 16px;margin:16px 0}
dt{font-size:12px;color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
figure{margin:18px 0 30px}
figcaption{font-weight:600;margin-bottom:4px}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;padding:0;margin:4px 0 8px}
.legend svg{vertical-align:-2px}
.table{overflow-x:auto}
table{border-collapse:collapse;font-size:12.5px;font-variant-numeric:tabular-nums}
th,td{padding:3px 8px;text-align:left;white-space:nowrap;border-bottom:1px solid var(--grid)}
th{position:sticky;top:0;background:var(--paper)}
.number{text-align:right}
.doubtful{color:var(--mark)}
.small{display:inline-block;vertical-align:top;width:calc(50% - 20px);min-width:min(440px,100%);margin:14px 20px 16px 0}
h3{font-size:15px;margin:20px 0 4px}
.terms{display:block}
.terms div{margin:0 0 8px;max-width:90ch}
.terms div:last-child{margin:0}
.badge{display:inline-block;border:1.5px solid;border-radius:10px;padding:0 9px;font-size:12.5px;font-weight:600;white-space:nowrap}
.good{color:var(--series-2)}
.mixed{color:var(--series-1)}
.bad{color:var(--mark)}
.unknown{color:var(--soft)}
.overview{list-style:none;padding:0;margin:16px 0}
.overview li{display:grid;grid-template-columns:2em minmax(160px,1.2fr) 8em 3fr;gap:2px 12px;padding:7px 0;border-bottom:1px solid var(--grid);align-items:baseline}
.overview .badge{justify-self:start}
.overview .count{color:var(--soft);text-align:right}
@media (max-width:760px){main{padding:20px 14px 48px}.overview li{grid-template-columns:1.6em 1fr auto}.overview .why{grid-column:2/-1}}
@media print{main{max-width:none}}
";

const CHART_STYLE: &str = "
.chart>svg{display:block;width:100%;height:auto}
svg text{font-family:system-ui,-apple-system,'Segoe UI',sans-serif;paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_of_a_chart_has_one_for_light_and_dark() {
        let style = style();
        for color in SERIES.into_iter().chain([INK, GRID, LIMIT]) {
            assert!(style.contains(&format!("[fill=\"{}\"]", hex(color))));
        }
        for index in 0..SERIES.len() {
            assert_eq!(style.matches(&format!("--series-{index}:")).count(), 2);
        }
    }
}
