//! Values with their units, as people read them.

/// A value in the unit of its size: 1500 "us" is "1.50 ms". Units may have a part after a stroke, as in "ns/call".
pub(crate) fn human(value: f64, unit: &str) -> String {
    let (base, per) = match unit.split_once('/') {
        Some((base @ ("us" | "ns" | "bytes"), per)) => (base, format!("/{per}")),
        _ => (unit, String::new()),
    };
    let steps: &[(f64, &str)] = match base {
        "us" => &[(1.0, "µs"), (1e3, "ms"), (1e6, "s")],
        "ns" => &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")],
        "bytes" => &[(1.0, "B"), (1024.0, "KiB"), (1_048_576.0, "MiB"), (1_073_741_824.0, "GiB")],
        _ => return with_unit(&plain(value), unit),
    };
    let size = value.abs();
    let (step, name) = steps.iter().rev().find(|(step, _)| size >= *step).unwrap_or(&steps[0]);
    format!("{} {name}{per}", digits(value / step))
}

/// A number with three significant digits; thousands and millions as k and M.
pub(crate) fn plain(value: f64) -> String {
    match value.abs() {
        size if size >= 1e7 => format!("{}M", digits(value / 1e6)),
        size if size >= 1e4 => format!("{}k", digits(value / 1e3)),
        _ => digits(value),
    }
}

fn with_unit(number: &str, unit: &str) -> String {
    if unit.is_empty() { number.to_owned() } else { format!("{number} {unit}") }
}

fn digits(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        _ if value == value.trunc() && size < 1e6 => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_well() {
        let cases = [
            (0.0, "us", "0 µs"),
            (12.34, "us", "12.3 µs"),
            (1500.0, "us", "1.50 ms"),
            (2_000_000.0, "us", "2 s"),
            (37946.0, "ns/delivery", "37.9 µs/delivery"),
            (137.0 * 1_048_576.0, "bytes", "137 MiB"),
            (2560.0, "bytes/session", "2.50 KiB/session"),
            (123_456.0, "deliveries/s", "123k deliveries/s"),
            (8_123_456.0, "deliveries/s", "8123k deliveries/s"),
            (5000.0, "calls/s", "5000 calls/s"),
            (0.1234, "cores", "0.123 cores"),
            (-3.0, "", "-3"),
        ];
        for (value, unit, expected) in cases {
            assert_eq!(human(value, unit), expected);
        }
    }
}
