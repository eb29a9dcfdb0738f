//! A median with its spread.

use std::fmt;

/// The results of several rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The median.
    pub(crate) median: f64,
    min: f64,
    /// The largest.
    pub(crate) max: f64,
}

impl Spread {
    /// Computes the spread of some values. NaN if there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        Self { median: at(values.len() / 2), min: at(0), max: at(values.len().saturating_sub(1)) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(1);
        let Self { median, min, max } = self;
        if f.sign_plus() {
            return write!(f, "{median:+.digits$} ({min:+.digits$}..{max:+.digits$})");
        }
        write!(f, "{median:.digits$} ({min:.digits$}..{max:.digits$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_counts_and_the_extremes_are_shown() {
        assert_eq!(Spread::of([3.0, 1.0, 9.0, 2.0, 4.0]).to_string(), "3.0 (1.0..9.0)");
        assert_eq!(format!("{:+.0}", Spread::of([-1.0, 2.0, 1.0])), "+1 (-1..+2)");
    }
}
