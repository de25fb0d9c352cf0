//! The statement that adds tasks, one or several at once.

use std::fmt::Write;
use std::sync::LazyLock;

pub const INSERT: &str = "INSERT INTO tasks (task) VALUES ($1) RETURNING CAST(id AS BIGINT)";

/// So many rows a statement adds at most: a connection keeps the plan of each number that it has seen.
pub(super) const MAX_ROWS: usize = 32;

/// Adds so many tasks, from one to `MAX_ROWS`, and gives each row's id with its text: no database promises an order.
pub(super) fn insert_several(rows: usize) -> &'static str {
    static STATEMENTS: LazyLock<Vec<String>> = LazyLock::new(|| (0..=MAX_ROWS).map(statement).collect());
    &STATEMENTS[rows]
}

fn statement(rows: usize) -> String {
    let mut statement = "INSERT INTO tasks (task) VALUES ".to_owned();
    for row in 1..=rows {
        let separator = if row == 1 { "" } else { ", " };
        let _ = write!(statement, "{separator}(${row})");
    }
    statement + " RETURNING CAST(id AS BIGINT), task"
}

/// Which task got which id, from the rows as they came. A text that the database keeps in another form, as an earlier
/// service's table may, gets one that is left over.
pub(super) fn ids_of(tasks: &[String], rows: Vec<(i64, String)>) -> Vec<Option<i64>> {
    let mut ids = vec![None; tasks.len()];
    let mut left_over = Vec::new();
    for (number, (id, task)) in rows.into_iter().enumerate() {
        // They come as they were sent, most often, so that the first place looked at is the right one.
        let places = (number..tasks.len()).chain(0..number.min(tasks.len()));
        let mut fitting = places.filter(|&place| ids[place].is_none() && tasks[place] == task);
        match fitting.next() {
            Some(place) => ids[place] = Some(id),
            None => left_over.push(id),
        }
    }
    let without = ids.iter_mut().filter(|id| id.is_none());
    for (id, left_over) in without.zip(left_over) {
        *id = Some(left_over);
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(tasks: &[&str], rows: &[(i64, &str)]) -> Vec<Option<i64>> {
        let tasks: Vec<String> = tasks.iter().map(|&task| task.to_owned()).collect();
        ids_of(
            &tasks,
            rows.iter().map(|&(id, task)| (id, task.to_owned())).collect(),
        )
    }

    #[test]
    fn a_statement_has_a_row_for_each_task() {
        assert_eq!(
            insert_several(3),
            "INSERT INTO tasks (task) VALUES ($1), ($2), ($3) RETURNING CAST(id AS BIGINT), task"
        );
    }

    #[test]
    fn each_task_has_the_id_of_a_row_with_its_text_in_whatever_order_they_come() {
        assert_eq!(
            ids(&["tea", "milk", "tea"], &[(7, "tea"), (8, "milk"), (9, "tea")]),
            [Some(7), Some(8), Some(9)]
        );
        assert_eq!(
            ids(&["tea", "milk", "tea"], &[(7, "tea"), (8, "tea"), (9, "milk")]),
            [Some(7), Some(9), Some(8)]
        );
    }

    #[test]
    fn a_text_that_was_changed_has_the_row_that_is_left_over() {
        assert_eq!(
            ids(&["tea", "milk"], &[(7, "tea"), (8, "milk      ")]),
            [Some(7), Some(8)]
        );
    }

    #[test]
    fn a_task_without_a_row_has_no_id() {
        assert_eq!(ids(&["tea", "milk"], &[(7, "milk")]), [None, Some(7)]);
    }
}
