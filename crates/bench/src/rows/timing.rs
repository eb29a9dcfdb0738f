//! Whether the time of a failed client authentication reveals which clients exist.

use crate::Outcome;
use crate::rows::Bench;
use crate::table::Row;
use crate::timing::{SAMPLES, compare_all};

/// The usual threshold of dudect. A larger value proves a difference.
const MAX_T: f64 = 4.5;

pub(super) fn measure(bench: &mut Bench<'_>) -> Outcome<()> {
    for compared in compare_all()? {
        bench.table.add([Row {
            figure: format!("timing of {}: |t| against an unknown client", compared.kind),
            ours: format!("{:.2}", compared.t),
            compared: format!("{:+.1} ns (trimmed, |t| {:.1})", compared.slower_ns, compared.trimmed_t),
            target: Some((format!("under {MAX_T}"), compared.t < MAX_T)),
            ..Row::default()
        }]);
    }
    bench.table.note(format!(
        "Timing: Welch's |t| over {SAMPLES} calls in random order; trimmed figures exclude the slowest percent."
    ));
    Ok(())
}
