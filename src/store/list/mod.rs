//! Lists that stay fast however many rows there are.
//!
//! A list is made of ranges of one index: for each key (a shop, some campaigns, some
//! recipients) and each state that is asked for, the first rows in the order of the
//! page, which the index has lying side by side. They are merged, and the page is
//! cut off the front. So a page costs what it holds times the number of ranges, on
//! the first page and on the thousandth, and no filter ever walks past rows of
//! other keys. What the index does not have is checked on the rows of its ranges.

use std::collections::HashMap;
use std::fmt::Write as _;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, Statement, Value};

use super::Store;
use super::tx::to_error;
use crate::domain::{Result, State};

mod batches;
mod issuances;

pub use batches::BatchFilter;
pub use issuances::{Filter, place};

/// The order of a list.
#[expect(clippy::enum_variant_names, reason = "an order says what comes first")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// By time, the newest first.
    #[default]
    NewestFirst,
    /// By time, the oldest first.
    OldestFirst,
    /// By amount, the largest first, then the newest.
    LargestFirst,
    /// By amount, the smallest first, then the oldest.
    SmallestFirst,
}

impl Order {
    fn descends(self) -> bool {
        matches!(self, Self::NewestFirst | Self::LargestFirst)
    }

    /// The columns that rows are ordered by; the id makes every row's place its own.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::NewestFirst | Self::OldestFirst => &["create_time", "id"],
            Self::LargestFirst | Self::SmallestFirst => &["amount_fen", "create_time", "id"],
        }
    }

    /// Whether rows are ordered by their amount.
    #[must_use]
    pub fn is_by_amount(self) -> bool {
        matches!(self, Self::LargestFirst | Self::SmallestFirst)
    }
}

/// The place of a row in an order: the values of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(pub Vec<i64>);

/// Which part of a list.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// In which order.
    pub order: Order,
    /// Only rows after this one.
    pub after: Option<Place>,
    /// Rows to leave out first.
    pub skip: u64,
    /// How many at most.
    pub size: u64,
}

/// Rows that a total counts at most.
pub const TOTAL_MAX: u64 = 100_000;

/// Some ranges of an index of one table.
#[derive(Clone, Debug)]
pub(super) struct Ranges {
    table: &'static str,
    /// What every row has.
    fixed: Vec<(String, Value)>,
    /// A column and the values that it may have, each a range of its own.
    keys: Option<(&'static str, Vec<i64>)>,
    /// States, each a range of its own; none: the state does not matter.
    states: Vec<State>,
    /// Conditions that the rows of the ranges are held against: a column and the
    /// values that it may have.
    among: Vec<(&'static str, Among)>,
}

/// Values that a column may have.
#[derive(Clone, Debug)]
enum Among {
    Ids(Vec<i64>),
    States(Vec<State>),
}

#[derive(FromQueryResult)]
struct Found {
    id: i64,
}

#[derive(FromQueryResult)]
struct Count {
    count: i64,
}

impl Ranges {
    pub(super) fn of(table: &'static str) -> Self {
        Self {
            table,
            fixed: Vec::new(),
            keys: None,
            states: Vec::new(),
            among: Vec::new(),
        }
    }

    /// Only rows where a condition on one value holds, e.g. `shop_id =`.
    pub(super) fn with(mut self, condition: &str, value: impl Into<Value>) -> Self {
        self.fixed.push((condition.to_owned(), value.into()));
        self
    }

    /// A range for each of these values of a column.
    pub(super) fn each(mut self, column: &'static str, values: Vec<i64>) -> Self {
        self.keys = Some((column, values));
        self
    }

    /// Only rows whose column has one of these values.
    pub(super) fn among(mut self, column: &'static str, values: Vec<i64>) -> Self {
        self.among.push((column, Among::Ids(values)));
        self
    }

    /// Only rows in one of these states; all if there are none.
    pub(super) fn among_states(mut self, states: Vec<State>) -> Self {
        if !states.is_empty() {
            self.among.push(("state", Among::States(states)));
        }
        self
    }

    /// A range for each of these states.
    pub(super) fn in_states(mut self, states: Vec<State>) -> Self {
        self.states = states;
        self
    }
}

/// A statement in the making, with its values.
struct Text<'a> {
    backend: DbBackend,
    sql: String,
    values: Vec<Value>,
    part: &'a Part,
    counts: bool,
}

impl Text<'_> {
    /// The name of the next parameter.
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    fn push(&mut self, text: &str) {
        self.sql.push_str(text);
    }

    /// The values of a list that travels as one text, so that the statement stays the same.
    fn list(&mut self, of_numbers: bool, joined: String, alias: &str) -> String {
        let text = self.bind(joined);
        match (self.backend == DbBackend::Postgres, of_numbers) {
            (true, true) => {
                format!("unnest(string_to_array({text}, ',')::bigint[]) AS {alias}(value)")
            }
            (true, false) => format!("unnest(string_to_array({text}, ',')) AS {alias}(value)"),
            (false, true) => format!("json_each('[' || {text} || ']') AS {alias}"),
            (false, false) => {
                format!("json_each('[\"' || replace({text}, ',', '\",\"') || '\"]') AS {alias}")
            }
        }
    }

    fn order(&self, alias: &str) -> String {
        let direction = if self.part.order.descends() {
            " DESC"
        } else {
            ""
        };
        let columns = self.part.order.columns().iter();
        let columns: Vec<String> = columns
            .map(|column| format!("{alias}{column}{direction}"))
            .collect();
        format!(" ORDER BY {}", columns.join(", "))
    }

    /// The first rows of each range.
    fn ranges(&mut self, ranges: &Ranges) {
        let mut sources = Vec::new();
        let mut conditions = Vec::new();
        if let Some((column, values)) = &ranges.keys {
            sources.push(self.list(true, numbers(values), "k"));
            conditions.push(format!("j.{column} = k.value"));
        }
        if !ranges.states.is_empty() {
            sources.push(self.list(false, names(&ranges.states), "s"));
            conditions.push("j.state = s.value".to_owned());
        }
        for (column, among) in &ranges.among {
            let list = match among {
                Among::Ids(ids) => self.list(true, numbers(ids), "a"),
                Among::States(states) => self.list(false, names(states), "a"),
            };
            conditions.push(format!("j.{column} IN (SELECT a.value FROM {list})"));
        }
        for (condition, value) in &ranges.fixed {
            let value = self.bind(value.clone());
            conditions.push(format!("j.{condition} {value}"));
        }
        if let (Some(place), false) = (&self.part.after, self.counts) {
            let columns = self.part.order.columns();
            let named: Vec<String> = columns.iter().map(|c| format!("j.{c}")).collect();
            let values: Vec<String> = place.0.iter().map(|value| self.bind(*value)).collect();
            let sign = if self.part.order.descends() { "<" } else { ">" };
            conditions.push(format!(
                "({}) {sign} ({})",
                named.join(", "),
                values.join(", ")
            ));
        }
        let rows = if self.counts {
            TOTAL_MAX
        } else {
            self.part.skip.saturating_add(self.part.size)
        };
        let rows = self.bind(i64::try_from(rows).unwrap_or(i64::MAX));
        let order = if self.counts {
            String::new()
        } else {
            self.order("j.")
        };
        let (table, conditions) = (ranges.table, conditions.join(" AND "));
        let columns = |alias: &str| {
            let columns = self.part.order.columns().iter();
            let columns: Vec<String> = columns.map(|c| format!("{alias}{c}")).collect();
            columns.join(", ")
        };
        if sources.is_empty() {
            let _ = write!(
                self.sql,
                "SELECT * FROM (SELECT {} FROM {table} j WHERE {conditions}{order} LIMIT {rows}) i",
                columns("j.")
            );
            return;
        }
        // One subquery for each pair of key and state. PostgreSQL joins it laterally;
        // SQLite knows no such word, but finds the rows by the ids that it gives.
        let inner = if self.backend == DbBackend::Postgres {
            let columns = columns("j.");
            format!(
                "CROSS JOIN LATERAL (SELECT {columns} FROM {table} j WHERE {conditions}{order} LIMIT {rows}) i"
            )
        } else {
            format!(
                "JOIN {table} i ON i.id IN (SELECT j.id FROM {table} j WHERE {conditions}{order} LIMIT {rows})"
            )
        };
        let _ = write!(
            self.sql,
            "SELECT {} FROM {} {inner}",
            columns("i."),
            sources.join(" CROSS JOIN ")
        );
    }

    /// All ranges as one table; a row that lies in several is there once.
    fn union(&mut self, ranges: &[Ranges]) {
        self.push("(");
        for (index, one) in ranges.iter().enumerate() {
            if index > 0 {
                self.push(" UNION ");
            }
            self.ranges(one);
        }
        self.push(") u");
    }
}

fn numbers(ids: &[i64]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.join(",")
}

fn names(states: &[State]) -> String {
    let names: Vec<&str> = states.iter().map(|state| state.name()).collect();
    names.join(",")
}

/// The statement that finds a part of a list.
pub(super) fn statement(backend: DbBackend, ranges: &[Ranges], part: &Part) -> Statement {
    let mut text = Text {
        backend,
        sql: String::from("SELECT u.id AS id FROM "),
        values: Vec::new(),
        part,
        counts: false,
    };
    text.union(ranges);
    let order = text.order("u.");
    text.push(&order);
    let size = text.bind(i64::try_from(part.size).unwrap_or(i64::MAX));
    let skip = text.bind(i64::try_from(part.skip).unwrap_or(i64::MAX));
    text.push(&format!(" LIMIT {size} OFFSET {skip}"));
    Statement::from_sql_and_values(backend, text.sql, text.values)
}

/// The ids of a part of a list, in its order.
pub(super) async fn ids(
    db: &impl ConnectionTrait,
    ranges: &[Ranges],
    part: &Part,
) -> Result<Vec<i64>, DbErr> {
    if ranges.is_empty() || part.size == 0 {
        return Ok(Vec::new());
    }
    let statement = statement(db.get_database_backend(), ranges, part);
    let rows = Found::find_by_statement(statement).all(db).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// How many rows a list has, up to [`TOTAL_MAX`].
pub(super) async fn total(db: &impl ConnectionTrait, ranges: &[Ranges]) -> Result<i64, DbErr> {
    if ranges.is_empty() {
        return Ok(0);
    }
    let part = Part::default();
    let mut text = Text {
        backend: db.get_database_backend(),
        sql: String::from("SELECT COUNT(*) AS count FROM (SELECT 1 FROM "),
        values: Vec::new(),
        part: &part,
        counts: true,
    };
    text.union(ranges);
    let rows = text.bind(i64::try_from(TOTAL_MAX).unwrap_or(i64::MAX));
    text.push(&format!(" LIMIT {rows}) c"));
    let statement = Statement::from_sql_and_values(text.backend, text.sql, text.values);
    let row = Count::find_by_statement(statement).one(db).await?;
    Ok(row.map_or(0, |row| row.count))
}

/// A part of a list, and how many there are in all if that was asked.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// The rows, in order.
    pub rows: Vec<T>,
    /// How many fit the filter, up to the bound of totals.
    pub total: Option<i64>,
}

impl Store {
    /// The ids of a part of a list, and how many it has in all if that is asked.
    async fn found(
        &self,
        ranges: &[Ranges],
        part: &Part,
        with_total: bool,
    ) -> Result<(Vec<i64>, Option<i64>)> {
        let db = self.reader();
        let ids = ids(db, ranges, part).await.map_err(to_error)?;
        let total = match with_total {
            true => Some(total(db, ranges).await.map_err(to_error)?),
            false => None,
        };
        Ok((ids, total))
    }
}

/// Rows in the order of their ids in a list.
fn in_order<T>(rows: Vec<T>, ids: &[i64], id: impl Fn(&T) -> i64) -> Vec<T> {
    let mut by_id: HashMap<i64, T> = rows.into_iter().map(|row| (id(&row), row)).collect();
    ids.iter().filter_map(|id| by_id.remove(id)).collect()
}
