//! Joins WGSL files into one shader: the only composer there is.
//!
//! A kernel and one file for each slot are concatenated behind a header of generated `const`s. Two
//! comments in the files are instructions: a loop whose first line ends in `// unroll` is replaced by
//! its repeated body, and one that ends in `// unroll if one` by its body if it runs exactly once.
//! Both need a loop of the form `for (var k = A; k < N; k++) {` (or `<=`) whose bounds are numbers or
//! names of the header. The files stay valid WGSL without these instructions. A file for any tensor has `TENSOR`
//! and `BINDING` where its name and its binding's number belong.

pub(crate) mod parts;

use parts::Part;
use std::borrow::Cow;
use std::fmt::Write as _;

/// A composed shader, and where each of its lines comes from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) text: String,
    /// For each line of `text`, the file below `shaders/` and its 1-based line there.
    origins: Vec<(&'static str, usize)>,
}

impl Source {
    /// The file and line that a 1-based line of the composed text was made from, as `file:line`.
    pub(crate) fn origin(&self, line: usize) -> Option<String> {
        let (path, line) = self.origins.get(line.checked_sub(1)?)?;
        Some(format!("{path}:{line}"))
    }

    fn push(&mut self, line: &str, origin: (&'static str, usize)) {
        self.text.push_str(line);
        self.text.push('\n');
        self.origins.push(origin);
    }
}

/// Joins `parts` behind a header that declares `constants`.
pub(crate) fn compose(constants: &[(&'static str, u32)], parts: &[Part]) -> Source {
    let mut source = Source { text: String::new(), origins: Vec::new() };
    for (name, value) in constants {
        source.push(&format!("const {name}: u32 = {value}u;"), ("generated header", 1));
    }
    for part in parts {
        let lines: Vec<Line<'_>> = part
            .text
            .lines()
            .enumerate()
            .map(|(i, text)| Line { text: part.instantiated(text), origin: (part.path, i + 1) })
            .collect();
        unroll(&lines, constants, &mut source);
    }
    source
}

impl Part {
    /// A line of it, for the tensor that it is for.
    fn instantiated(&self, line: &'static str) -> Cow<'static, str> {
        match self.tensor {
            Some(tensor) if line.contains("TENSOR") => {
                line.replace("BINDING", &tensor.binding().to_string()).replace("TENSOR", tensor.name()).into()
            }
            _ => line.into(),
        }
    }
}

#[derive(Clone)]
struct Line<'a> {
    text: Cow<'a, str>,
    origin: (&'static str, usize),
}

fn unroll(lines: &[Line<'_>], constants: &[(&str, u32)], source: &mut Source) {
    let mut rest = lines;
    while let [line, following @ ..] = rest {
        rest = following;
        let unrolled = MarkedLoop::parse(&line.text, constants).and_then(|marked| {
            let (body, after) = split_at_closing_brace(following)?;
            Some((marked, body, after))
        });
        let Some((marked, body, after)) = unrolled else {
            source.push(&line.text, line.origin);
            continue;
        };
        for value in marked.values {
            source.push("{", line.origin);
            let repeated: Vec<Line<'_>> = body
                .iter()
                .map(|line| Line {
                    text: replace_word(&line.text, marked.variable, &format!("{value}u")).into(),
                    origin: line.origin,
                })
                .collect();
            unroll(&repeated, constants, source);
            source.push("}", line.origin);
        }
        rest = after;
    }
}

/// A loop that is to be replaced by its repeated body.
struct MarkedLoop<'a> {
    variable: &'a str,
    values: std::ops::Range<u32>,
}

impl<'a> MarkedLoop<'a> {
    fn parse(line: &'a str, constants: &[(&str, u32)]) -> Option<Self> {
        let (code, mark) = line.split_once("// ")?;
        let code = code.trim().strip_prefix("for (var ")?.strip_suffix("++) {")?;
        let value_of = |text: &str| {
            let text = text.trim();
            let constant = constants.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
            constant.or_else(|| text.trim_end_matches('u').parse().ok())
        };
        let (start, rest) = code.split_once(';')?;
        let (variable, start) = start.split_once(" = ")?;
        let (condition, _) = rest.split_once(';')?;
        let (bound, inclusive) = match condition.split_once("<=") {
            Some((_, bound)) => (bound, 1),
            None => (condition.split_once('<')?.1, 0),
        };
        let values = value_of(start)?..value_of(bound)?.checked_add(inclusive)?;
        let wanted = match mark.trim() {
            "unroll" => true,
            "unroll if one" => values.len() == 1,
            _ => false,
        };
        wanted.then_some(Self { variable, values })
    }
}

/// The lines before the brace that closes the block they are in, and those after it.
fn split_at_closing_brace<'l, 'a>(lines: &'l [Line<'a>]) -> Option<(&'l [Line<'a>], &'l [Line<'a>])> {
    let mut depth = 1usize;
    for (i, line) in lines.iter().enumerate() {
        let code = line.text.split("//").next().unwrap_or_default();
        depth += code.matches('{').count();
        depth = depth.checked_sub(code.matches('}').count())?;
        if depth == 0 {
            return Some((lines.get(..i)?, lines.get(i + 1..)?));
        }
    }
    None
}

/// `text` with each whole word `word` replaced.
fn replace_word(text: &str, word: &str, by: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, found) = rest.split_at(at);
        let after = found.get(word.len()..).unwrap_or_default();
        let whole = !before.ends_with(is_part) && !after.starts_with(is_part);
        let _ = write!(replaced, "{before}{}", if whole { by } else { word });
        rest = after;
        // The next search must see that a word before it was joined to this one.
        if let Some(next) = rest.chars().next().filter(|_| !whole) {
            replaced.push(next);
            rest = rest.get(next.len_utf8()..).unwrap_or_default();
        }
    }
    replaced + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(text: &'static str, constants: &[(&'static str, u32)]) -> Source {
        compose(constants, &[Part { path: "demo.wgsl", text, tensor: None }])
    }

    #[test]
    fn marked_loops_are_unrolled_and_lines_remember_their_origin() {
        let text = "fn f() {\n    for (var k = 0u; k < TILE; k++) { // unroll\n        r[k] = kk + k_ + k;\n    }\n}\n";
        let source = composed(text, &[("TILE", 2)]);
        let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
        let expected = ["const TILE: u32 = 2u;", "fn f() {", "{", "r[0u] = kk + k_ + 0u;", "}"];
        assert_eq!(lines[..5], expected);
        assert_eq!(lines[5..], ["{", "r[1u] = kk + k_ + 1u;", "}", "}"]);
        assert_eq!(source.origin(7).as_deref(), Some("demo.wgsl:3"));
        assert_eq!(source.origin(9).as_deref(), Some("demo.wgsl:5"));
        assert_eq!(source.origin(0), None);
        assert_eq!(source.origin(10), None);
    }

    #[test]
    fn nested_loops_and_inclusive_bounds() {
        let text = "for (var i = 1u; i <= 2u; i++) { // unroll\nfor (var j = 0u; j < 2u; j++) { // unroll\na(i, j);\n}\n}";
        let source = composed(text, &[]);
        let calls: Vec<&str> = source.text.lines().filter(|line| line.starts_with('a')).collect();
        assert_eq!(calls, ["a(1u, 0u);", "a(1u, 1u);", "a(2u, 0u);", "a(2u, 1u);"]);
    }

    #[test]
    fn a_loop_that_runs_once_is_unrolled_on_request_only() {
        let text = "for (var b = 0u; b < BLOCKS; b++) { // unroll if one\nwork();\n}";
        assert!(!composed(text, &[("BLOCKS", 1)]).text.contains("for"));
        assert!(composed(text, &[("BLOCKS", 2)]).text.contains("for (var b = 0u; b < BLOCKS; b++)"));
        assert!(composed("for (var b = 0u; b < 1u; b++) {\n}", &[]).text.contains("for"));
    }

    #[test]
    fn every_marked_loop_of_the_shaders_is_understood() {
        let constants = [
            ("UNROLL", 2),
            ("WIDTH", 2),
            ("REDUCTION_STEPS", 2),
            ("BLOCKS", 1),
            ("GROUPS", 1),
            ("STRIPS", 1),
        ];
        for part in parts::ALL {
            assert!(!compose(&constants, &[*part]).text.contains("// unroll"), "{}", part.path);
        }
    }
}
