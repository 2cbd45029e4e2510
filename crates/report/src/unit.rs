//! Numbers as they are read.

/// Milliseconds, to three or four digits.
pub fn milliseconds(ms: f64) -> String {
    format!("{} ms", digits(ms))
}

/// A factor, to two or three digits.
pub fn factor(factor: f64) -> String {
    let decimals = if factor < 0.095 {
        3
    } else if factor < 9.95 {
        2
    } else if factor < 99.5 {
        1
    } else {
        0
    };
    format!("{factor:.decimals$}×")
}

/// A share in percent; one decimal below 10.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let decimals = if percent < 9.95 { 1 } else { 0 };
    format!("{percent:.decimals$} %")
}

/// A number of three or four digits.
pub fn digits(number: f64) -> String {
    let decimals = match number.abs() {
        size if size < 1.0 => 4,
        size if size < 100.0 => 2,
        size if size < 1000.0 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}")
}

/// With a decimal prefix, as few digits as tell it, and `unit`: 2.5 MB.
pub fn prefixed(number: f64, unit: &str) -> String {
    const PREFIXES: [(f64, &str); 9] = [
        (1e12, "T"),
        (1e9, "G"),
        (1e6, "M"),
        (1e3, "k"),
        (1.0, ""),
        (1e-3, "m"),
        (1e-6, "µ"),
        (1e-9, "n"),
        (1e-12, "p"),
    ];
    // 999.9 k is 1 M.
    let fits = |&&(size, _): &&(f64, &str)| number.abs() >= size * 0.9995;
    let (size, prefix) = PREFIXES.iter().find(fits).copied().unwrap_or((1.0, ""));
    let digits = format!("{:.2}", number / size);
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    let gap = if unit.is_empty() && prefix.is_empty() { "" } else { " " };
    format!("{digits}{gap}{prefix}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            ["0.1234 ms", "12.35 ms", "123.5 ms", "1235 ms"],
            [0.12341, 12.345, 123.45, 1234.6].map(milliseconds)
        );
        assert_eq!(["0.051×", "2.00×", "15.5×", "150×"], [0.0512, 2.0, 15.46, 150.2].map(factor));
        assert_eq!(["0.3 %", "10 %", "76 %"], [0.003, 0.0996, 0.76].map(percent));
    }

    #[test]
    fn prefixes_are_decimal() {
        let of = |number| prefixed(number, "B");
        assert_eq!(["0 B", "12 B", "1 kB", "2.5 MB", "1 GB"], [0.0, 12.0, 999.9, 2.5e6, 1e9].map(of));
        let times = [2e-3, 5e-6, 0.5e-9, 20e-12].map(|seconds| prefixed(seconds, "s"));
        assert_eq!(times, ["2 ms", "5 µs", "500 ps", "20 ps"]);
        assert_eq!((prefixed(12_544.0, ""), prefixed(30.0, "")), ("12.54 k".to_owned(), "30".to_owned()));
    }
}
