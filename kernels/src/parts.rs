//! Cutting a range into parts of nearly equal length.

/// The length of a part when `0..n` is cut as evenly as can be, and how many parts are
/// longer by one: the first ones. 0 for no parts.
#[inline(always)]
pub(crate) fn lengths(n: usize, parts: usize) -> (usize, usize) {
    // Most ranges are one part: no division for these.
    let short = match parts {
        0 => 0,
        1 => n,
        _ => n / parts,
    };
    (short, n - short * parts)
}

/// Where part `i` of `parts` begins when `0..n` is cut as evenly as can be, the longer
/// parts first; `n` for i = `parts`. 0 for no parts.
#[inline(always)]
pub(crate) fn part_start(n: usize, parts: usize, i: usize) -> usize {
    let (short, longer) = lengths(n, parts);
    i * short + i.min(longer)
}

/// Splits `0..n` into the fewest parts of at most `most`, as even as can be: (start, length).
#[inline(always)]
pub(crate) fn even_parts(n: usize, most: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    let parts = match n <= most {
        true => usize::from(n > 0),
        false => n.div_ceil(most),
    };
    let (short, longer) = lengths(n, parts);
    (0..parts).map(move |i| {
        let start = i * short + i.min(longer);
        (start, short + usize::from(i < longer))
    })
}

/// The parts of [`even_parts`] for n > 0, those of one length together: (start, length, how
/// many). The second are shorter by one; of the first there may be none.
#[inline(always)]
pub(crate) fn even_runs(n: usize, most: usize) -> [(usize, usize, usize); 2] {
    // Often one: no division for that.
    let parts = match n <= most {
        true => 1,
        false => n.div_ceil(most),
    };
    let (short, longer) = lengths(n, parts);
    [
        (0, short + 1, longer),
        (longer * (short + 1), short, parts - longer),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_even_and_complete() {
        for n in 0..40 {
            for most in 1..10 {
                let parts: Vec<_> = even_parts(n, most).collect();
                assert_eq!(parts.len(), n.div_ceil(most));
                let mut next = 0;
                for &(start, length) in &parts {
                    assert!(start == next && (1..=most).contains(&length));
                    next += length;
                }
                assert_eq!(next, n);
                if n > 0 {
                    let runs = even_runs(n, most).into_iter();
                    let all: Vec<_> = runs
                        .flat_map(|(start, length, count)| {
                            (0..count).map(move |i| (start + i * length, length))
                        })
                        .collect();
                    assert_eq!(all, parts);
                }
                let lengths = || parts.iter().map(|p| p.1);
                assert!(lengths().max().unwrap_or(0) - lengths().min().unwrap_or(0) <= 1);
            }
        }
    }
}
