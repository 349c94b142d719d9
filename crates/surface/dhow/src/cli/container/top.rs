//! `top`

use crate::cli::parse::{self, Count, Shape};
use crate::cli::{Ended, Globals, global};
use crate::output::table;
use dhow_engine::container;
use std::ffi::OsString;

#[derive(clap::Args)]
struct Top {
    #[arg(hide = true)]
    words: Vec<OsString>,
}

const SHAPE: Shape = Shape {
    usage: "CONTAINER [ps OPTIONS]",
    about: "Display the running processes of a container",
    aliases: "dhow container top, dhow top",
    count: Count::AtLeast(1),
};

pub(crate) fn run(globals: &Globals, words: Vec<OsString>) -> Ended {
    let Some(args) = parse::parse_leading::<Top>(&SHAPE, words, |a| a.words.len())? else { return Ok(0) };
    let words: Vec<String> = args.words.iter().map(|w| global::text(w)).collect();
    let (titles, rows) = container::top(&globals.reader()?, &words[0], &words[1..], &moment)?;
    let line = |cells: &Vec<String>| cells.join("\t") + "\n";
    let text: String = std::iter::once(&titles).chain(&rows).map(line).collect();
    parse::print(&table::align_wide(&text))
}

/// When a process was started, as `ps` shows it: the time of day, of an earlier day the day, of an earlier year that.
fn moment(time: i64) -> String {
    let zone = jiff::tz::TimeZone::system();
    let local = |time: i64| jiff::Timestamp::from_nanosecond(i128::from(time)).map(|t| t.to_zoned(zone.clone()));
    let (Ok(then), Ok(now)) = (local(time), local(global::now())) else { return "?".to_owned() };
    let shape = match () {
        () if then.date() == now.date() => "%H:%M",
        () if then.year() == now.year() => "%b%d",
        () => "%Y",
    };
    then.strftime(shape).to_string()
}
