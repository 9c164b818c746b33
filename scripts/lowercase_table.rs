// Prints impl/core/lowercase_table.inc: how Rust's str::to_lowercase treats every character, found
// by asking it.

fn main() {
    println!("// Printed by scripts/lowercase_table; not to be edited. Unicode {}.", unicode());
    let scalars: Vec<char> = ('\u{80}'..=char::MAX).collect();

    println!("\nconstexpr Shift kShifts[] = {{");
    let mut shifts: Vec<(u32, i64)> = Vec::new();
    let mut expansions: Vec<(char, String)> = Vec::new();
    for &c in &scalars {
        let lower: Vec<char> = c.to_lowercase().collect();
        match lower[..] {
            [one] if one == c => {}
            [one] => shifts.push((c as u32, one as i64 - c as i64)),
            _ => expansions.push((c, lower.iter().collect())),
        }
    }
    let mut at = 0;
    while at < shifts.len() {
        let (first, delta) = shifts[at];
        let stride = match shifts.get(at + 1) {
            Some(&(next, same)) if same == delta && next - first <= 2 => next - first,
            _ => 1,
        };
        let mut end = at + 1;
        while end < shifts.len() && shifts[end] == (shifts[end - 1].0 + stride, delta) {
            end += 1;
        }
        let last = shifts[end - 1].0;
        println!("    {{0x{first:04x}, 0x{last:04x}, {stride}, {delta}}},");
        at = end;
    }
    println!("}};");

    println!("\nconstexpr Expansion kExpansions[] = {{");
    for (c, lower) in &expansions {
        let bytes: String = lower.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
        println!("    {{0x{:04x}, \"{bytes}\"}},", *c as u32);
    }
    println!("}};");

    // A sigma is final if, characters to be ignored aside, a cased one stands before it and none
    // after it. That tells the properties, which Rust keeps to itself.
    let everything: Vec<char> = ('\0'..=char::MAX).collect();
    let is_final = |before: &str| format!("{before}Σ").to_lowercase().ends_with('ς');
    let cased = |c: &char| is_final(&c.to_string());
    let ignored = |c: &char| is_final(&format!("A{c}")) && !cased(c);
    print_ranges("kCased", everything.iter().copied().filter(cased));
    print_ranges("kIgnored", everything.iter().copied().filter(ignored));
}

fn unicode() -> String {
    let (major, minor, update) = char::UNICODE_VERSION;
    format!("{major}.{minor}.{update}")
}

fn print_ranges(name: &str, members: impl Iterator<Item = char>) {
    println!("\nconstexpr Range {name}[] = {{");
    let mut range: Option<(u32, u32)> = None;
    for member in members.map(|c| c as u32) {
        range = match range {
            Some((first, last)) if last + 1 == member => Some((first, member)),
            other => {
                print_range(other);
                Some((member, member))
            }
        };
    }
    print_range(range);
    println!("}};");
}

fn print_range(range: Option<(u32, u32)>) {
    if let Some((first, last)) = range {
        println!("    {{0x{first:04x}, 0x{last:04x}}},");
    }
}
