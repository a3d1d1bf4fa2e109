//! Files of both formats, and files that are none.

use std::{borrow::Cow, time::Duration};

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use pcap_file::{
    DataLink, Endianness,
    pcapng::{
        PcapNgWriter,
        blocks::{
            enhanced_packet::EnhancedPacketBlock,
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption},
            simple_packet::SimplePacketBlock,
        },
    },
};

use crate::{
    bench::{Bench, Engine, Found, complains, lines},
    rows::{self, JULY, JUNE},
};

const ACCESS: [&str; 2] = ["--role", "access"];
const HOST: [&str; 4] = ["--role", "access", "--engine", "host"];

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    let mut trials = vec![
        found.trial("files::what_is_cut_off_is_said_after_the_rest", cut_off),
        found.trial("files::other_link_types_are_refused_by_name", link_types),
        found.trial("files::what_is_no_capture_is_refused", no_capture),
        found.trial("files::standard_input_is_read", standard_input),
    ];
    trials.extend(found.each("files::each_interface_of_a_pcapng_has_its_clock", clocks));
    trials.extend(found.each(
        "files::packets_without_a_time_have_that_before_them",
        untimed,
    ));
    trials.extend(found.each("files::a_time_out_of_range_is_skipped", out_of_range));
    trials
}

/// A frame from the address whose exemption ends in July.
fn exempt_until_july() -> Vec<u8> {
    let mut rows = rows::access();
    let index = rows.iter().position(|row| row.what == "exempt until July");
    rows.swap_remove(index.expect("the row is there")).frame
}

fn pcapng(resolutions: &[u8]) -> Result<PcapNgWriter<Vec<u8>>> {
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), Endianness::Big)?;
    for resolution in resolutions {
        writer.write_pcapng_block(InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: 0,
            options: vec![InterfaceDescriptionOption::IfTsResol(*resolution)],
        })?;
    }
    Ok(writer)
}

/// The writer calls units nanoseconds.
fn packet(interface_id: u32, units: u64, frame: &[u8]) -> EnhancedPacketBlock<'_> {
    EnhancedPacketBlock {
        interface_id,
        timestamp: Duration::from_nanos(units),
        original_len: u32::try_from(frame.len()).expect("a frame's length"),
        data: Cow::Borrowed(frame),
        options: Vec::new(),
    }
}

/// The last moment before a deadline and the first after it, by clocks that count seconds and 1024ths of them.
fn clocks(bench: &Bench, engine: Engine) -> Result<()> {
    let frame = exempt_until_july();
    // 10 to the 0th, 2 to the tenth.
    let mut writer = pcapng(&[0, 0x8a])?;
    for (interface, units) in [
        (0, JULY - 1),
        (1, JULY * 1024 - 1),
        (0, JULY),
        (1, JULY * 1024),
        (0, JUNE),
    ] {
        writer.write_pcapng_block(packet(interface, units, &frame))?;
    }
    bench.write("clocks.pcapng", &writer.into_inner())?;
    let lines = bench.lines("clocks.pcapng", engine, &ACCESS)?;
    let found: Vec<_> = lines
        .iter()
        .map(|it| {
            (
                it.time.as_deref().unwrap_or("-"),
                it.verdict.as_deref().unwrap_or("-"),
            )
        })
        .collect();
    ensure!(
        found
            == [
                ("2026-06-30T23:59:59Z", "passed"),
                ("2026-06-30T23:59:59.999023437Z", "passed"),
                ("2026-07-01T00:00:00Z", "refused"),
                ("2026-07-01T00:00:00Z", "refused"),
                ("2026-06-01T00:00:00Z", "passed"),
            ],
        "{found:?}"
    );
    Ok(())
}

fn untimed(bench: &Bench, engine: Engine) -> Result<()> {
    let frame = exempt_until_july();
    let mut writer = pcapng(&[0])?;
    for second in [JUNE, JULY] {
        writer.write_pcapng_block(packet(0, second, &frame))?;
        writer.write_pcapng_block(SimplePacketBlock {
            original_len: u32::try_from(frame.len())?,
            data: Cow::Borrowed(&frame),
        })?;
    }
    bench.write("untimed.pcapng", &writer.into_inner())?;
    let arguments = [&ACCESS[..], &["--engine", engine.name()]].concat();
    let output = bench.output("untimed.pcapng", &arguments)?;
    let lines = lines(&output)?;
    let found: Vec<_> = lines
        .iter()
        .map(|it| (it.time.is_some(), it.verdict.as_deref().unwrap_or("-")))
        .collect();
    ensure!(
        found
            == [
                (true, "passed"),
                (false, "passed"),
                (true, "refused"),
                (false, "refused")
            ],
        "{found:?}"
    );
    let said = "2 have no time of their own: judged at that of the packet before, the first at 2026-06-01T00:00:00Z";
    ensure!(output.stderr.contains(said), "{output:?}");
    Ok(())
}

fn out_of_range(bench: &Bench, engine: Engine) -> Result<()> {
    let frame = exempt_until_july();
    let mut writer = pcapng(&[0])?;
    for second in [u64::MAX, JUNE] {
        writer.write_pcapng_block(packet(0, second, &frame))?;
    }
    bench.write("late.pcapng", &writer.into_inner())?;
    let lines = bench.lines("late.pcapng", engine, &ACCESS)?;
    let found: Vec<_> = lines
        .iter()
        .map(|it| (it.skipped.is_some(), it.verdict.as_deref()))
        .collect();
    ensure!(
        found == [(true, None), (false, Some("passed"))],
        "{lines:?}"
    );
    Ok(())
}

fn cut_off(bench: &Bench) -> Result<()> {
    let rows = rows::uplink();
    let mut file = rows::pcap(&rows);
    let last = rows.last().map_or(0, |row| row.frame.len());
    let begun = file.len() - last - 16;
    file.pop();
    bench.write("cut.pcap", &file)?;
    let output = bench.output("cut.pcap", &HOST)?;
    let before = rows.len() - 1;
    let place = format!("at octet {begun}, after packet {before}");
    complains(
        &output,
        2,
        &[
            "cut.pcap: is cut short, ",
            &place,
            &format!("{before} packets"),
        ],
    )?;
    ensure!(lines(&output)?.len() == before, "{output:?}");
    Ok(())
}

fn link_types(bench: &Bench) -> Result<()> {
    for (number, name) in [(113_u32, "LINUX_SLL (113)"), (101, "RAW (101)")] {
        let mut file = rows::pcap(&[]);
        file.splice(20..24, number.to_be_bytes());
        bench.write("other.pcap", &file)?;
        let output = bench.output("other.pcap", &HOST)?;
        complains(
            &output,
            2,
            &["other.pcap", name, "ETHERNET", "tcpdump -i INTERFACE"],
        )?;
        ensure!(output.stdout.is_empty(), "{output:?}");
    }
    Ok(())
}

fn no_capture(bench: &Bench) -> Result<()> {
    complains(
        &bench.output("gate.toml", &HOST)?,
        2,
        &["gate.toml: is neither pcap nor pcapng"],
    )?;
    complains(
        &bench.output("nothing", &HOST)?,
        2,
        &["nothing: No such file"],
    )?;
    complains(
        &bench.output(".", &HOST)?,
        2,
        &[".: cannot be read: Is a directory"],
    )?;
    complains(
        &bench
            .shell("$GATE replay - --role access --engine host --config gate.toml < /dev/null")?,
        2,
        &["-: is empty"],
    )
}

fn standard_input(bench: &Bench) -> Result<()> {
    bench.write("some.pcap", &rows::pcap(&rows::uplink()))?;
    let named = bench.output("some.pcap", &HOST)?;
    let piped = "cat some.pcap | $GATE replay - --role access --engine host --config gate.toml";
    let piped = bench.shell(piped)?;
    ensure!(
        piped.code() == Some(0) && piped.stdout == named.stdout,
        "{piped:?}"
    );
    Ok(())
}
