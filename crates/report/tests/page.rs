//! A page with everything on it: it is valid, and a browser would fetch nothing for it.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use html5gum::{Token, Tokenizer};
use wgpu_batchnorm_report::Page;
use wgpu_batchnorm_report::chart::{Axis, Bar, BarChart, BarGroup, Mark, Plane, Points};
use wgpu_batchnorm_report::page::{Column, Key};
use wgpu_batchnorm_report::unit;

fn page(groups: usize) -> String {
    let mut page = Page::new("A <title> & \"more\"", "What it is.");
    page.fact("adapter", "llvmpipe <256 bits>");
    page.warning("repeat on a quiet machine");
    page.heading("Charts", "");
    let axis = Axis { label: "bytes", tick: |bytes| unit::prefixed(bytes, "B") };
    let points = vec![(1e4, 2e9), (1e6, 5e9), (1e8, 4e9)];
    let points = [Mark::Circle, Mark::Triangle].map(|mark| Points {
        color: 1,
        mark,
        joined: true,
        points: points.clone(),
    });
    let plane = Plane {
        name: "roofline".to_owned(),
        x: axis,
        y: axis,
        points: points.into(),
        limit: vec![(1e4, 5e9), (1e8, 5e9)],
    };
    let keys = [Key::Color(1, "forward"), Key::Circle("first"), Key::Triangle("last"), Key::Limit("limit")];
    page.chart("Bandwidth", &plane.svg().expect("there are points"), &keys);
    let bar = |value: f64| Bar { color: 2, value, text: unit::milliseconds(value) };
    let group =
        |index: usize| BarGroup { label: format!("64×{index}"), bars: vec![bar(1.0), bar(f64::NAN)] };
    let bars = BarChart {
        name: "bars".to_owned(),
        label: "share".to_owned(),
        tick: unit::percent,
        groups: (0..groups).map(group).collect(),
        limit: None,
    };
    page.chart("Bars", &bars.svg().expect("there are bars"), &[]);
    let columns = [Column { name: "shape", is_number: false }, Column { name: "ms", is_number: true }];
    page.table(&columns, &[vec!["<script>alert(1)</script>".to_owned(), "1.00 !".to_owned()]]);
    page.list(&["one & two".to_owned()]);
    page.render()
}

/// Elements that have no end.
const VOID: [&str; 4] = ["meta", "br", "hr", "img"];

#[test]
fn it_is_valid_html() {
    for groups in [1, 60] {
        let html = page(groups);
        let mut open: Vec<String> = Vec::new();
        for token in Tokenizer::new(&html) {
            let Ok(token) = token;
            match token {
                Token::Error(error) => panic!("{}", error.value),
                Token::StartTag(tag) => {
                    let name = String::from_utf8_lossy(&tag.name).into_owned();
                    if !tag.self_closing && !VOID.contains(&name.as_str()) {
                        open.push(name);
                    }
                }
                Token::EndTag(tag) => {
                    assert_eq!(open.pop().unwrap_or_default().as_bytes(), &**tag.name, "{open:?}");
                }
                _ => {}
            }
        }
        assert_eq!(open, Vec::<String>::new());
        assert!(html.starts_with("<!DOCTYPE html>"));
    }
}

#[test]
fn a_browser_fetches_nothing() {
    let html = page(3);
    let mut tags = 0;
    for token in Tokenizer::new(&html) {
        let Ok(token) = token;
        if let Token::StartTag(tag) = token {
            tags += 1;
            let name = String::from_utf8_lossy(&tag.name).into_owned();
            assert!(
                !["script", "link", "img", "iframe", "image", "use", "object", "embed"]
                    .contains(&name.as_str())
            );
            for attribute in tag.attributes.keys() {
                let attribute = String::from_utf8_lossy(attribute);
                assert!(
                    !["src", "href", "xlink:href", "style", "srcset"].contains(&&*attribute),
                    "{attribute}"
                );
                assert!(!attribute.starts_with("on"), "{attribute}");
            }
        }
    }
    assert!(tags > 100);
    // Names of XML languages are not fetched; nothing else may look like an address.
    let without_names = html.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for address in ["http:", "https:", "//", "@import", "url("] {
        assert!(!without_names.contains(address), "{address}");
    }
}

#[test]
fn what_was_handed_over_is_text() {
    let html = page(1);
    assert!(html.contains("A &lt;title&gt; &amp; &quot;more&quot;") && html.contains("&lt;script&gt;"));
    assert!(html.contains("class=\"number doubtful\">1.00 !"));
}
