//! Changes of others' tables as messages of nf_tables.
//!
//! `iptables` keeps the tables that have places for us, and refuses to show a table with a rule that it could not have made
//! itself. So ours are made as it makes them: links and verdicts in nf_tables' own words, states of connections and
//! comments as matches of xtables.

use super::decode::{CONNTRACK_FLAGS, CONNTRACK_SIZE, XT_DNAT};
use super::foreign::{Action, Pattern, Rule, Test};
use super::judge::{Change, Edit};
use crate::firewall::{expression, kind};
use crate::netlink::{Message, flag};

/// A change as a message.
pub(super) fn edit(edit: &Edit) -> Message {
    let begin = |kind, flags| {
        let mut message = Message::new(kind, flags).fixed(&[edit.layer.number(), 0, 0, 0]);
        message.text(1, &edit.table);
        message.text(2, &edit.chain);
        message
    };
    match &edit.change {
        Change::Delete(handle) => {
            let mut message = begin(kind::DEL_RULE, 0);
            message.attribute(3, &handle.to_be_bytes());
            message
        }
        Change::Insert { before, rule } => {
            // Ahead of a position, or appended without one.
            let flags = if before.is_some() { flag::CREATE } else { flag::CREATE | flag::APPEND };
            let mut message = begin(kind::NEW_RULE, flags);
            message.nest(4, |list| expressions(list, rule));
            if let Some(handle) = before {
                message.attribute(6, &handle.to_be_bytes());
            }
            message
        }
    }
}

/// The expressions of a rule, as `iptables` puts them: links, matches, counter, verdict.
pub(super) fn expressions(list: &mut Message, rule: &Rule) {
    for test in &rule.tests {
        match test {
            // Of one name each: so are ours.
            Test::In(names, holds) => names.iter().for_each(|name| link(list, 6, name, *holds)),
            Test::Out(names, holds) => names.iter().for_each(|name| link(list, 7, name, *holds)),
            Test::Tracked { states, translated, holds } => {
                let bits = u16::from(*states) | if *translated { XT_DNAT } else { 0 };
                xtables(list, "conntrack", 3, &conntrack(bits, *holds));
            }
            Test::Family(..) | Test::Unknown => {}
        }
    }
    if let Some(comment) = &rule.comment {
        let mut info = [0; 256];
        let length = comment.len().min(255);
        info[..length].copy_from_slice(&comment.as_bytes()[..length]);
        xtables(list, "comment", 0, &info);
    }
    expression(list, "counter", |_| {});
    let code: i32 = match rule.action {
        Action::Accept => 1,
        Action::Return => -5,
        // No rule of ours does anything else.
        _ => return,
    };
    expression(list, "immediate", |data| {
        data.number_be(1, 0);
        data.nest(2, |data| data.nest(2, |verdict| verdict.number_be(1, code.cast_unsigned())));
    });
}

fn link(list: &mut Message, key: u32, pattern: &Pattern, holds: bool) {
    expression(list, "meta", |data| {
        data.number_be(1, 1);
        data.number_be(2, key);
    });
    let mut name = pattern.text.clone().into_bytes();
    if !pattern.open {
        name.push(0);
    }
    expression(list, "cmp", |data| {
        data.number_be(1, 1);
        data.number_be(2, u32::from(!holds));
        data.nest(3, |data| data.attribute(1, &name));
    });
}

fn xtables(list: &mut Message, name: &str, revision: u32, info: &[u8]) {
    expression(list, "match", |data| {
        data.text(1, name);
        data.number_be(2, revision);
        data.attribute(3, info);
    });
}

/// `struct xt_conntrack_mtinfo3`: states, and nothing else.
fn conntrack(states: u16, holds: bool) -> [u8; CONNTRACK_SIZE] {
    let mut info = [0; CONNTRACK_SIZE];
    for (at, value) in [(0, 1), (2, u16::from(!holds)), (4, states)] {
        info[CONNTRACK_FLAGS + at..CONNTRACK_FLAGS + at + 2].copy_from_slice(&u16::to_ne_bytes(value));
    }
    info
}

#[cfg(test)]
mod tests {
    use super::super::judge::rules;
    use super::super::{Links, Way, decode};
    use super::*;
    use crate::netlink::messages;

    #[test]
    fn what_is_written_reads_the_same() {
        let links = Links { ways_out: vec!["br-lan".to_owned()], bridges: vec!["br-lan".to_owned(), "lan".to_owned()] };
        let all = [Way::Out, Way::Back, Way::Published, Way::Direct, Way::Among];
        let all = all.into_iter().flat_map(|way| rules(way, "dhow0", &links, "dhow-0123abcd:dhow0"));
        for ours in all.map(|rule| Rule { handle: 7, ..rule }) {
            let mut message = Message::new(0, 0).fixed(&[2, 0, 0, 0]);
            message.attribute(3, &7u64.to_be_bytes());
            message.nest(4, |list| expressions(list, &ours));
            let bytes = message.finish(1).unwrap();
            let received = messages(&bytes).next().unwrap().unwrap();
            assert_eq!(decode::rule(received.split::<4>().unwrap().1), Some(ours));
        }
    }
}
