//! Progress of long commands on a terminal: one line a layer.
//!
//! Owns: how the lines look. Must not know: what makes the progress. Where the output is no terminal nothing is drawn
//! and every call is cheap. Bars may be moved from any thread; drawing is limited to a few times a second and takes the
//! width of the terminal anew each time.

use std::fmt::Write;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::units::human_size;

/// The lines of one command.
#[derive(Debug)]
pub(crate) struct Progress {
    lines: Option<MultiProgress>,
}

impl Progress {
    /// Draws to standard output if that is a `terminal`, as `docker load` does; nothing otherwise.
    pub(crate) fn new(terminal: bool) -> Self {
        Self { lines: terminal.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stdout())) }
    }

    /// A line for a layer, named by a short id, of `total` bytes if that is known.
    pub(crate) fn layer(&self, id: &str, total: Option<u64>) -> LayerBar {
        self.line(id, "Loading layer", total)
    }

    /// A line for anything else that takes its time; `message` says what is going on.
    pub(crate) fn line(&self, name: &str, message: &'static str, total: Option<u64>) -> LayerBar {
        let Some(lines) = &self.lines else { return LayerBar { bar: ProgressBar::hidden(), finished: true } };
        let bar = lines.add(match total {
            Some(total) => ProgressBar::new(total).with_style(style("{prefix}: {msg} [{wide_bar}]  {sizes}")),
            None => ProgressBar::no_length().with_style(style("{prefix}: {msg}  {sizes}")),
        });
        bar.set_prefix(name.to_owned());
        bar.set_message(message);
        LayerBar { bar, finished: false }
    }
}

fn style(template: &str) -> ProgressStyle {
    let sizes = |state: &ProgressState, out: &mut dyn Write| {
        let position = human_size(state.pos());
        // What can't be drawn isn't worth failing for.
        let _ = match state.len() {
            Some(total) => write!(out, "{position:>8}/{}", human_size(total)),
            None => write!(out, "{position:>8}"),
        };
    };
    let style = ProgressStyle::with_template(template).expect("the templates above are well formed");
    style.progress_chars("=> ").with_key("sizes", sizes)
}

/// The line of one layer. Dropped before it is finished, as on an error, it vanishes; finished lines stay.
#[derive(Debug)]
pub(crate) struct LayerBar {
    bar: ProgressBar,
    finished: bool,
}

impl LayerBar {
    /// `bytes` more are done.
    pub(crate) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// So many bytes are done in all.
    pub(crate) fn reach(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    /// Leaves the line as `<id>: <text>`.
    pub(crate) fn finish(mut self, text: &str) {
        if !self.finished {
            self.finished = true;
            self.bar.set_style(style("{prefix}: {msg}"));
            self.bar.finish_with_message(text.to_owned());
        }
    }
}

impl Drop for LayerBar {
    fn drop(&mut self) {
        if !self.finished {
            self.bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    const WIDTH: u16 = 60;

    /// The lines of a terminal that wraps, and the line the cursor is in.
    #[derive(Clone, Debug, Default)]
    struct Screen(Arc<Mutex<(Vec<String>, usize)>>);

    impl Screen {
        fn at(&self, change: impl FnOnce(&mut Vec<String>, &mut usize)) -> io::Result<()> {
            let mut screen = self.0.lock().unwrap();
            let (lines, row) = &mut *screen;
            change(lines, row);
            Ok(())
        }

        fn text(&self) -> Vec<String> {
            let lines = self.0.lock().unwrap().0.clone();
            lines.iter().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
        }
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            WIDTH
        }
        fn height(&self) -> u16 {
            20
        }
        fn move_cursor_up(&self, n: usize) -> io::Result<()> {
            self.at(|_, row| *row -= n)
        }
        fn move_cursor_down(&self, n: usize) -> io::Result<()> {
            self.at(|_, row| *row += n)
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)?;
            self.at(|_, row| *row += 1)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.at(|lines, row| {
                for c in text.chars() {
                    let full = |line: &String| line.chars().count() == usize::from(WIDTH);
                    *row += usize::from(lines.get(*row).is_some_and(full));
                    lines.resize(lines.len().max(*row + 1), String::new());
                    lines[*row].push(c);
                }
            })
        }
        fn clear_line(&self) -> io::Result<()> {
            self.at(|lines, row| lines[*row].clear())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn on(screen: &Screen) -> Progress {
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(screen.clone()), 250);
        Progress { lines: Some(MultiProgress::with_draw_target(target)) }
    }

    #[test]
    fn a_layer_is_drawn_and_its_end_stays() {
        let screen = Screen::default();
        let progress = on(&screen);
        let bar = progress.layer("0123456789ab", Some(2_000_000));
        bar.advance(1_000_000);
        bar.bar.tick();
        let lines = screen.text();
        assert!(lines[0].starts_with("0123456789ab: Loading layer [=="), "{lines:?}");
        assert!(lines[0].ends_with("1MB/2MB"), "{lines:?}");
        bar.finish("Loaded");
        assert_eq!(screen.text(), ["0123456789ab: Loaded"]);
    }

    #[test]
    fn what_is_given_up_leaves_no_line() {
        let screen = Screen::default();
        let progress = on(&screen);
        let (done, lost) = (progress.layer("a", Some(10)), progress.layer("b", None));
        done.advance(10);
        lost.advance(5);
        lost.bar.tick();
        assert!(screen.text().iter().any(|line| line.starts_with("b: Loading layer        5B")), "{:?}", screen.text());
        done.finish("Loaded");
        drop(lost);
        drop(progress);
        assert_eq!(screen.text(), ["a: Loaded"]);
    }

    #[test]
    fn layers_advance_on_several_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Progress>();
        shared::<LayerBar>();
        let screen = Screen::default();
        let progress = on(&screen);
        std::thread::scope(|scope| {
            for id in ["a", "b", "c"] {
                let bar = progress.layer(id, Some(1000));
                scope.spawn(move || {
                    (0..1000).for_each(|_| bar.advance(1));
                    bar.finish("Loaded");
                });
            }
        });
        assert_eq!(screen.text(), ["a: Loaded", "b: Loaded", "c: Loaded"]);
    }

    #[test]
    fn nothing_is_drawn_without_a_terminal() {
        let progress = Progress::new(false);
        let bar = progress.layer("a", Some(1));
        bar.advance(1);
        bar.finish("Loaded");
        assert!(progress.lines.is_none());
    }
}
