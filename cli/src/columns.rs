//! Rows under headings, as text.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};

/// Lays out rows for a terminal this wide. The first `numbers` columns are aligned to the right; the last one, which alone may
/// be wrapped, has lines of its own.
pub(crate) fn columns<const N: usize>(
    header: [&str; N],
    numbers: usize,
    rows: impl IntoIterator<Item = [String; N]>,
    width: u16,
) -> String {
    const NARROWEST: u16 = 40;
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_header(header)
        .add_rows(rows);
    for index in 0..N {
        let Some(column) = table.column_mut(index) else { continue };
        if index < numbers {
            column.set_cell_alignment(CellAlignment::Right);
        }
        column.set_constraint(match index + 1 == N {
            true => ColumnConstraint::LowerBoundary(Width::Fixed(NARROWEST)),
            false => ColumnConstraint::ContentWidth,
        });
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_the_padding_at_the_end() {
        let rows = [["7".to_owned(), "short".to_owned()], ["1,234".to_owned(), "two\n  lines".to_owned()]];
        let text = columns(["#", "WHERE"], 1, rows, 80);
        assert_eq!(text, "     #  WHERE\n     7  short\n 1,234  two\n          lines\n");
    }
}
