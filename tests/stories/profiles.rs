// SPDX-License-Identifier: GPL-3.0-only
//! Profiles: what lines may look like, and what becomes of those that may not.

use crate::deeds::*;
use crate::support::story::*;

const GOOD: &str = "/var/snap/acorn/common/a /opt/spare none bind 0 0\n";

pub fn stories() -> Vec<Story> {
    [lines(), faults(), lengths(), files()].into_iter().flatten().collect()
}

fn lines() -> Vec<Story> {
    vec![
        story("comments, blank lines, tabs and carriage returns are read and not kept")
            .desire_exactly("# a comment\r\n\r\n \t/var/snap/acorn/common/a\t\t/opt/spare  none bind 0 0 # x\r\n\n#\n")
            .run()
            .both([exit("0"), file("/opt/spare/v", "common a")])
            .both([record(&[ROOTFS, "/var/snap/acorn/common/a /opt/spare none bind 0 0"])]),
        story("a last line needs no end")
            .desire_exactly("/var/snap/acorn/common/a /opt/spare none bind")
            .run()
            .both([file("/opt/spare/v", "common a")]),
        story("escaped characters are the characters")
            .desire_exactly(
                "/var/snap/acorn/common/a /var/snap/acorn/common/sp\\040tab\\011nl\\012bs\\134 none bind 0 0\n",
            )
            .run()
            .both([exit("0"), file("/var/snap/acorn/common/sp tab\tnl\nbs\\/v", "common a")])
            .both([recorded("/var/snap/acorn/common/sp\\040tab\\011nl\\012bs\\134")])
            .desire("")
            .run()
            .both([gone("/var/snap/acorn/common/sp tab\tnl\nbs\\"), record(&[ROOTFS])]),
        story("an escaped hash is not an escape, and is kept")
            .desire_exactly("/var/snap/acorn/common/a /var/snap/acorn/common/x\\043y none bind 0 0\n")
            .run()
            .both([exit("0"), file("/var/snap/acorn/common/x\\043y/v", "common a")])
            .both([recorded("/var/snap/acorn/common/x\\134043y")])
            .run()
            .both([exit("0"), layers("/var/snap/acorn/common/x\\134043y", 1)]),
        story("an escape is not decoded twice")
            .desire_exactly("/var/snap/acorn/common/a /var/snap/acorn/common/x\\134040y none bind 0 0\n")
            .run()
            .both([file("/var/snap/acorn/common/x\\040y/v", "common a")]),
        story("a hash inside a word is an ordinary character")
            .desire("/var/snap/acorn/common/a /var/snap/acorn/common/name#1 none bind 0 0")
            .run()
            .both([exit("0"), file("/var/snap/acorn/common/name#1/v", "common a")])
            .run()
            .desire("")
            .run()
            .both([gone("/var/snap/acorn/common/name#1"), record(&[ROOTFS])]),
        story("numbers may be negative and signed")
            .desire("/var/snap/acorn/common/a /opt/spare none bind -1 +2")
            .run()
            .both([exit("0"), record(&[ROOTFS, "/var/snap/acorn/common/a /opt/spare none bind -1 2"])]),
        story("unclean targets are cleaned")
            .desire("/var/snap/acorn/common/a /opt//depot/../spare/. none bind 0 0")
            .run()
            .both([exit("0"), file("/opt/spare/v", "common a"), recorded("/opt/spare")]),
    ]
}

fn faults() -> Vec<Story> {
    let bad = |title, line: &str, text| {
        story(title).desire_exactly(format!("{GOOD}{line}\n")).run().both([
            exit("1"),
            says(text),
            file("/opt/spare/v", "spare"),
            layers("/opt/spare", 0),
            record(&[ROOTFS]),
        ])
    };
    vec![
        bad(
            "a bad number of the first kind rejects the profile",
            "a b none bind x 0",
            "cannot parse dump frequency: \"x\"",
        ),
        bad(
            "a bad number of the second kind rejects the profile",
            "a b none bind 0 1_0",
            "cannot parse check pass number: \"1_0\"",
        ),
        bad(
            "a number out of range rejects the profile",
            "a b none bind 99999999999999999999 0",
            "cannot parse dump frequency",
        ),
        story("a line of two fields rejects the profile")
            .desire_exactly(format!("{GOOD}a b\n"))
            .run()
            .both([
                exit("1"),
                says("cannot load desired mount profile of snap \"acorn\""),
                layers("/opt/spare", 0),
            ])
            .differs("V4", ["stdout"], [says("expected at least 3 fields, found 2")]),
        story("fields that a comment hides do not count")
            .desire_exactly("tmpfs /srv/site # tmpfs rw\n")
            .run()
            .both([exit("1")])
            .differs("V4", ["stdout"], [says("expected at least 3 fields, found 2")]),
        story("a line of eight fields has its options joined")
            .desire("/var/snap/acorn/common/a /opt/spare none bind,ro x y 0 0")
            .run()
            .differs(
                "V4",
                ["exit", "stdout", "view /opt/spare", "mount", "layers", "record"],
                [
                    exit("0"),
                    line("view /opt/spare", "dir 0755 0:0 rw"),
                    record(&[ROOTFS, "/var/snap/acorn/common/a /opt/spare none bind,ro\\040x\\040y 0 0"]),
                ],
            ),
        story("options that were joined are the kernel's to refuse")
            .desire("tmpfs /srv/site tmpfs size=1m, mode=0711 0 0")
            .run()
            .both([file("/srv/site/v", "site")])
            .differs(
                "V4",
                ["exit", "stdout", "warning", "record"],
                [exit("0"), warnings(1), record(&[ROOTFS])],
            ),
        story("a bad record stops the run before anything is done")
            .desire(GOOD)
            .recorded("tmpfs / tmpfs x-snapd.origin=rootfs zero 0")
            .run()
            .both([
                exit("1"),
                says("cannot load current mount profile of snap \"acorn\": cannot parse dump frequency"),
            ])
            .both([layers("/opt/spare", 0)]),
    ]
}

fn lengths() -> Vec<Story> {
    /// A line of so many bytes, without its end.
    fn long(bytes: usize) -> String {
        let (before, after) = ("/var/snap/acorn/common/a /opt/spare none bind,x-snapd.pad=", " 0 0");
        let pad = "p".repeat(bytes - before.len() - after.len());
        format!("{before}{pad}{after}\n")
    }
    vec![
        story("a line of 65,535 bytes is read, and its record too")
            .desire_exactly(long(65_535))
            .run()
            .both([exit("0"), file("/opt/spare/v", "common a")])
            .run()
            .both([exit("0"), layers("/opt/spare", 1)])
            .desire("")
            .run()
            .both([file("/opt/spare/v", "spare"), record(&[ROOTFS])]),
        story("a line whose record would be too long to read is refused alone")
            .desire_exactly(format!(
                "{}\n{GOOD}",
                long(65_535).trim_end().trim_end_matches(" 0 0").to_string() + "pppp"
            ))
            .run()
            .both([exit("0")])
            .ignoring(["record", "warning", "view /opt/spare", "mount", "layers"])
            .desire("")
            .run()
            .differs(
                "L32",
                ["exit", "stdout", "view /opt/spare", "mount", "layers", "record"],
                [exit("0"), file("/opt/spare/v", "spare"), record(&[ROOTFS])],
            ),
    ]
}

fn files() -> Vec<Story> {
    vec![
        story("a desired profile that is a directory is fatal")
            .disturb(|sandbox| mkdir(&sandbox.desired().to_string_lossy()))
            .run()
            .both([exit("1"), says("cannot load desired mount profile of snap \"acorn\""), says("is a directory")]),
        story("a record that is a directory is fatal")
            .desire(GOOD)
            .disturb(|sandbox| {
                rm(&sandbox.record().to_string_lossy());
                mkdir(&sandbox.record().to_string_lossy());
            })
            .run()
            .both([exit("1"), says("cannot load current mount profile of snap \"acorn\""), layers("/opt/spare", 0)]),
        story("a desired profile behind a dangling symbolic link is empty")
            .disturb(|sandbox| ln("nowhere", &sandbox.desired().to_string_lossy()))
            .run()
            .both([exit("0"), record(&[ROOTFS])]),
        story("a missing record is an empty one, and is made")
            .disturb(|sandbox| rm(&sandbox.record().to_string_lossy()))
            .desire(GOOD)
            .run()
            .both([exit("0"), file("/opt/spare/v", "common a"), line("record file", "0644 0:0")])
            .both([record(&["/var/snap/acorn/common/a /opt/spare none bind 0 0"])]),
        story("a symbolic link in the place of the record is replaced, and what it names is untouched")
            .disturb(|sandbox| {
                write("/tmp/elsewhere", "untouched\n");
                rm(&sandbox.record().to_string_lossy());
                ln("/tmp/nowhere", &sandbox.record().to_string_lossy());
            })
            .desire(GOOD)
            .run()
            .both([exit("0"), line("record file", "0644 0:0"), gone("/tmp/nowhere"), file("/tmp/elsewhere", "untouched\n")]),
        story("a record is made for all to read whatever the umask is")
            .desire(GOOD)
            .run()
            .with(|start| start.umask = 0o077)
            .both([exit("0"), line("record file", "0644 0:0")]),
        story("a record that cannot be saved is a failure")
            .desire(GOOD)
            .disturb(|_| {
                bind("/run/snapd/ns", "/run/snapd/ns");
                read_only("/run/snapd/ns");
            })
            .run()
            .both([exit("1"), says("cannot save current mount profile of snap \"acorn\": open /run/snapd/ns/snap.acorn.fstab.")])
            .ignoring(["stdout", "view /opt/spare", "mount /opt/spare", "layers /opt/spare"]),
    ]
}
