//! How much memory models may take together.
//! In: a flag such as `18G`, or what the machine says. Out: bytes.

use std::fs;

/// Of what is free when the program starts, the rest is left for prompts, media and everything else.
const SHARE: f64 = 0.85;

/// The budget where nobody says one: a share of the memory that is available now, within the control group's limit.
/// No bound where the machine does not say.
pub fn default_bytes() -> u64 {
    let read = |path: &str| fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| available(&text));
    let group = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse::<u64>().ok());
    let used = read("/sys/fs/cgroup/memory.current").and_then(|text| text.trim().parse().ok());
    let left = group.map(|most| most.saturating_sub(used.unwrap_or(0)));
    match machine.into_iter().chain(left).min() {
        Some(bytes) => (bytes as f64 * SHARE) as u64,
        None => u64::MAX,
    }
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// `18G`, `18GiB`, `900M`, or plain bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no amount of memory: say for example 18G or 900M");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" | "kib" => 1024.0,
        "m" | "mb" | "mib" => 1024.0 * 1024.0,
        "g" | "gb" | "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let number: f64 = digits.trim().parse().map_err(|_| wrong())?;
    let bytes = number * factor;
    if !(bytes >= 1.0 && bytes < u64::MAX as f64) {
        return Err(wrong());
    }
    Ok(bytes as u64)
}

/// "15.2 GiB".
pub fn shown(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 1024.0 {
        format!("{mib:.0} MiB")
    } else {
        format!("{:.1} GiB", mib / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_shown() {
        assert_eq!(parse_bytes("18G"), Ok(18 << 30));
        assert_eq!(parse_bytes("1.5GiB"), Ok(3 << 29));
        assert_eq!(parse_bytes("4096"), Ok(4096));
        for wrong in ["", "G", "-1G", "18T", "1e400", "nan"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
        assert_eq!(shown(17 << 30), "17.0 GiB");
        assert_eq!(shown(26_000_000), "25 MiB");
        assert_eq!(
            available("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"),
            Some(2 << 20)
        );
    }
}
