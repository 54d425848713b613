//! Imports point down, and a few names have one home (ARCHITECTURE.md, the map in `src/lib.rs`).
//!
//! The checker reads source text, so it needs no compiler, sees code of every feature, and takes milliseconds.
//! It drops comments and literals, collects every path (`use` trees spelled out, `super::` and `self::` resolved),
//! and holds each against two tables: [`MAY_IMPORT`] and [`home_of`]. Unit tests inside `src/` obey the same rules; a
//! test that needs more belongs here, in `tests/it/`.
//! The tables are the rules: changing one is a decision about the design, to be made in review.

mod source;

use std::fmt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use source::{Named, module_path, paths};

/// A module of the crate root, and the others that it may name. Itself is always allowed.
/// From the top down: a line only ever names lines below it.
const MAY_IMPORT: &str = "
cli        app grpc http service store provider signing simulator domain config telemetry clock
app        grpc http service store provider signing domain config telemetry clock
grpc       service store domain telemetry clock
http       service store provider signing domain telemetry clock
service    store provider signing domain telemetry clock
store      domain clock
provider   signing domain clock
simulator  signing
config     domain telemetry
telemetry  clock
clock      domain
signing
domain
";
// The simulator is the other side of the wire. It shares canonical strings with us, which foreign vectors pin, and
// nothing else: a mistake in our types must not be able to sit on both sides.

/// The lines of [`MAY_IMPORT`].
fn layers() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    MAY_IMPORT.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?, words.collect()))
    })
}

/// Names of `sea_orm` that turn a domain value into a column; no query, no connection, no entity.
const COLUMN_DERIVES: &[&str] = &[
    "DeriveActiveEnum",
    "DeriveDisplay",
    "DeriveValueType",
    "EnumIter",
    "Iterable",
    "StringLen",
];

struct Violation {
    file: PathBuf,
    line: usize,
    edge: String,
    rule: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}: {}",
            self.file.display(),
            self.line,
            self.edge,
            self.rule
        )
    }
}

/// Checks one file. `file` is relative to the package, e.g. `src/grpc/issuance.rs`.
fn check(file: &Path, text: &str) -> Vec<Violation> {
    let module = module_path(file);
    paths(text, &module)
        .iter()
        .filter_map(|path| {
            forbidden_edge(&module, path)
                .or_else(|| away_from_home(file, path))
                .map(|why| (path, why))
        })
        .map(|(path, (edge, rule))| Violation {
            file: file.to_path_buf(),
            line: path.line,
            edge,
            rule,
        })
        .collect()
}

/// The edge and the rule that it breaks, if `path` leads to a layer that this module may not name.
fn forbidden_edge(module: &[String], path: &Named) -> Option<(String, String)> {
    // `main.rs` is a crate of its own and names the library.
    let from_root =
        path.segment(0) == "crate" || (path.segment(0) == "hongbao" && is_layer(path.segment(1)));
    let to = path.segment(1);
    if !from_root || to.is_empty() {
        return None;
    }
    // The crate root names everything: it is where the modules are declared and the program starts.
    let from = module.first()?;
    let edge = format!("{from} → {to} (`{}`)", path.segments.join("::"));
    let Some((_, allowed)) = layers().find(|(layer, _)| layer == from) else {
        return Some((
            edge,
            format!("`{from}` has no rule: add it to MAY_IMPORT in tests/it/layering.rs"),
        ));
    };
    if to == from || allowed.contains(&to) {
        return None;
    }
    let rule = match (is_layer(to), &*allowed) {
        (false, _) => format!("`{to}` is no layer: nothing is imported from the crate root"),
        (true, []) => format!("`{from}` imports nothing of ours"),
        (true, _) => format!("`{from}` may import only {}", allowed.join(", ")),
    };
    Some((edge, rule))
}

fn is_layer(name: &str) -> bool {
    layers().any(|(layer, _)| layer == name)
}

/// The name and the rule that it breaks, if `path` is used outside the one place that it belongs to.
fn away_from_home(file: &Path, path: &Named) -> Option<(String, String)> {
    let home = home_of(path)?;
    let at_home = home.at.iter().any(|place| file.starts_with(place));
    (!at_home).then(|| {
        (
            format!("`{}`", path.segments.join("::")),
            home.rule.to_owned(),
        )
    })
}

struct Home {
    at: &'static [&'static str],
    rule: &'static str,
}

/// Where a foreign name lives, for those that have a home.
fn home_of(path: &Named) -> Option<Home> {
    let home = |at, rule| Some(Home { at, rule });
    let now = |of| path.ends_with(&[of, "now"]);
    match path.segment(0) {
        _ if now("SystemTime") || now("Instant") || now("Utc") || now("Local") => home(
            &[
                "src/clock.rs",
                "src/clock",
                "src/simulator",
                "src/simulator.rs",
            ],
            "the time is read only in src/clock.rs (the simulator has a clock of its own)",
        ),
        "sea_orm" if path.segments.len() == 2 && COLUMN_DERIVES.contains(&path.segment(1)) => home(
            &["src/store", "src/store.rs", "src/domain", "src/domain.rs"],
            "column derives of sea_orm are for src/domain and src/store",
        ),
        "sea_orm" | "sea_orm_migration" | "sea_query" | "sqlx" | "migrations" => home(
            &["src/store", "src/store.rs"],
            "SQL lives in src/store (src/domain may derive columns: DeriveValueType, DeriveActiveEnum, EnumIter …)",
        ),
        "tonic" if matches!(path.segment(1), "Status" | "include_proto" | "*") => home(
            &["src/grpc", "src/grpc.rs"],
            "tonic::Status lives in src/grpc: everybody else has an error of its own",
        ),
        "reqwest" => home(
            // The door to receivers has a client of its own: there any host and no harm, not a few hosts and proof.
            &[
                "src/provider/client.rs",
                "src/provider/receiver.rs",
                "src/provider/receiver",
            ],
            "reqwest lives in src/provider/client.rs, which knows what a transport error proves, and in receiver.rs, \
             which keeps strangers out of the network",
        ),
        "roxmltree" => home(
            &["src/provider", "src/simulator", "src/simulator.rs"],
            "XML is read in src/provider, and in src/simulator on the other side",
        ),
        _ => None,
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn imports_of_the_source_point_down() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    rust_files(&package.join("src"), &mut files).unwrap();
    files.sort();
    assert!(
        files.iter().any(|file| file.ends_with("src/lib.rs")),
        "no sources under {}",
        package.display()
    );

    let violations: Vec<String> = files
        .iter()
        .flat_map(|file| {
            check(
                file.strip_prefix(package).unwrap(),
                &fs::read_to_string(file).unwrap(),
            )
        })
        .map(|violation| violation.to_string())
        .collect();
    assert!(
        violations.is_empty(),
        "{} forbidden:\n{}",
        violations.len(),
        violations.join("\n")
    );
}

/// A rule table that names a line above itself would make a cycle legal.
#[test]
fn the_rules_themselves_point_down() {
    for (index, (layer, allowed)) in layers().enumerate() {
        for target in allowed {
            let below = layers().skip(index + 1).any(|(name, _)| name == target);
            assert!(below, "{layer} → {target}");
        }
    }
}

/// A line each: file | source, with ⏎ for a new line | what must be said of it.
fn cases(table: &'static str) -> impl Iterator<Item = (&'static str, String, &'static str)> {
    table.lines().filter(|line| !line.is_empty()).map(|line| {
        let mut cells = line.splitn(3, " | ").map(str::trim);
        let (file, text) = (cells.next().unwrap(), cells.next().unwrap());
        (file, text.replace('⏎', "\n"), cells.next().unwrap_or(""))
    })
}

fn said(file: &str, text: &str) -> Vec<String> {
    check(Path::new(file), text)
        .iter()
        .map(ToString::to_string)
        .collect()
}

const FORBIDDEN: &str = r###"
src/domain/money.rs | use crate::store::Store; | money.rs:1: domain → store (`crate::store::Store`): `domain` imports nothing of ours
src/signing/map.rs | use crate::domain::Fen; | signing → domain
src/store/issuance.rs | use crate::service::issue; | store → service
src/store/issuance.rs | use crate::provider::Verdict; | `store` may import only domain, clock
src/provider/wechat_v2.rs | use crate::store::Row; | provider → store
src/service/issue.rs | use crate::grpc::pb; | service → grpc
src/service/issue.rs | use crate::simulator::Books; | service → simulator
src/grpc/issuance.rs | use crate::signing::map; | grpc → signing
src/grpc/issuance.rs | use crate::provider::client; | grpc → provider
src/grpc/issuance.rs | use crate::http::legacy; | grpc → http
src/http/mod.rs | use crate::grpc::pb; | http → grpc
src/app.rs | use crate::cli::Args; | app → cli
src/app.rs | use crate::simulator::Books; | app → simulator
src/simulator/mod.rs | use crate::domain::Fen; | `simulator` may import only signing
src/clock.rs | use crate::config::Clock; | clock → config
src/telemetry.rs | use crate::config::Telemetry; | telemetry → config
src/config.rs | use crate::service::Limits; | config → service
src/domain/mod.rs | pub use crate::{store::Store}; | domain → store
src/store/mod.rs | use crate::{⏎  domain::Fen,⏎  grpc::{pb as wire},⏎}; | mod.rs:3: store → grpc (`crate::grpc::pb`)
src/store/mod.rs | use crate::{⏎  domain::Fen,⏎  grpc::{self},⏎}; | mod.rs:3: store → grpc (`crate::grpc`)
src/store/mod.rs | use crate::grpc::*; | store → grpc (`crate::grpc::*`)
src/store/mod.rs | fn f() { let x = crate::service::go(); } | store → service
src/store/mod.rs | fn f(x: &crate::grpc::Pb) {} | store → grpc
src/store/mod.rs | macro_rules! m { () => { $crate::grpc::x } } | store → grpc
src/store/mod.rs | use crate::r#grpc::Pb; | store → grpc
src/store/mod.rs | use super::grpc::Pb; | store → grpc (`crate::grpc::Pb`)
src/store/entity/shop.rs | use super::super::super::grpc::Pb; | store → grpc
src/store/mod.rs | use self::super::grpc::Pb; | store → grpc
src/store/mod.rs | mod tests { use super::super::grpc::Pb; } | store → grpc
src/store/mod.rs | mod a { fn f() {} }⏎use super::grpc::Pb; | mod.rs:2: store → grpc
src/store/mod.rs | // it's⏎use crate::grpc::Pb; // ' | mod.rs:2: store → grpc
src/store/mod.rs | const Q: &str = r#"a "quoted" {"#; use crate::grpc::Pb; | store → grpc
src/store/mod.rs | const C: char = '"'; use crate::grpc::Pb; const D: char = '\''; | store → grpc
src/store/mod.rs | fn f<'a>(x: &'a str) { crate::grpc::g::<'a>() } | store → grpc
src/domain/mod.rs | use crate::Result; | `Result` is no layer
src/util/mod.rs | use crate::domain::Fen; | `util` has no rule
src/service/issue.rs | use sea_orm::EntityTrait; | SQL lives in src/store
src/domain/state.rs | use sea_orm::{DeriveActiveEnum, EntityTrait}; | `sea_orm::EntityTrait`: SQL lives
src/domain/state.rs | use sea_orm::entity::prelude::*; | SQL lives in src/store
src/grpc/mod.rs | use sea_orm::EnumIter; | column derives of sea_orm
src/app.rs | migrations::Migrator::up(&db).await?; | SQL lives in src/store
src/service/issue.rs | fn f() -> Result<(), tonic::Status> {} | tonic::Status lives in src/grpc
src/http/mod.rs | use tonic::{Request, Status}; | `tonic::Status`
src/service/mod.rs | tonic::include_proto!("hongbao.v1"); | `tonic::include_proto`
src/provider/wechat_v2.rs | use reqwest::Client; | reqwest lives in src/provider/client.rs
src/app.rs | use reqwest; | reqwest lives in
src/service/deliver.rs | reqwest::get(url) | receiver.rs, which keeps strangers out
src/http/legacy/shop.rs | roxmltree::Document::parse(x) | XML is read in src/provider
src/service/sync.rs | let t = std::time::Instant::now(); | the time is read only in src/clock.rs
src/service/sync.rs | let t = Utc::now(); | the time is read only
src/grpc/layer/trace.rs | tokio::time::Instant::now() | the time is read only
src/store/mod.rs | let f = SystemTime::now; | the time is read only
"###;

/// Negative control: a checker that never speaks would pass every source.
#[test]
fn forbidden_lines_are_named() {
    for (file, text, expected) in cases(FORBIDDEN) {
        let said = said(file, &text);
        let exact = !expected.is_empty() && matches!(&*said, [one] if one.contains(expected));
        assert!(
            exact,
            "{file}: {text}\nexpected: {expected}\nsaid: {said:?}"
        );
    }
}

const ALLOWED: &str = r###"
src/main.rs | use hongbao::cli; fn main() { hongbao::app::run() }
src/lib.rs | pub mod domain; pub use crate::domain::Fen;
src/cli/demo.rs | use crate::{app, simulator};
src/app.rs | use crate::{grpc, http::{self, legacy}, service, store, provider};
src/grpc/issuance.rs | use crate::service::issue; use tonic::{Request, Response, Status};
src/grpc/layer/auth.rs | use super::super::status; use crate::grpc::pb;
src/service/issue.rs | use crate::{clock::Clock, domain::Fen, store, provider, telemetry};
src/store/mod.rs | pub(in crate::store) fn f() {} pub(crate) mod entity { use super::super::domain::Fen; }
src/store/mod.rs | use sea_orm::{EntityTrait, Statement}; migrations::Migrator::up(db);
src/domain/state.rs | use sea_orm::{DeriveActiveEnum, EnumIter};⏎#[sea_orm(rs_type = "String")] enum S {}
src/domain/id.rs | #[derive(sea_orm::DeriveValueType)] struct Id(i64);
src/provider/client.rs | let c = reqwest::Client::builder();
src/provider/receiver.rs | use reqwest::dns::Resolve;
src/provider/wechat_v2.rs | use super::client; use crate::{signing, domain}; roxmltree::Document::parse(x);
src/simulator/mod.rs | use crate::signing; let t = Instant::now();
src/clock.rs | SystemTime::now()
src/domain/mod.rs | // use crate::store::Store;⏎/* crate::grpc /* nested */ crate::grpc */ /// crate::app::run
src/domain/mod.rs | const T: &str = "use crate::store::Store; \" crate::grpc";
src/domain/mod.rs | mod tests { use super::*; mod deeper { use super::super::money::Fen; } }
src/domain/mod.rs | let now = clock.now(); self.store.now(); Self::now();
src/http/mod.rs | use hongbao::v1::Pb;
"###;

/// And the other way round: a checker that cries at everything would be switched off.
#[test]
fn allowed_lines_are_left_alone() {
    for (file, text, _) in cases(ALLOWED) {
        assert_eq!(said(file, &text), Vec::<String>::new(), "{file}: {text}");
    }
}
