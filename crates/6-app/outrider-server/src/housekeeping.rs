//! Work that comes back: overview and health for the streams, sessions and commands that have lapsed.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use outrider_ingest::{Note, ReplayRecord, claimed_vehicle};
use outrider_model::{AppendError, Partition};
use outrider_types::IngestTime;

use crate::api::dto::Overview;
use crate::api::{App, read_health, read_overview};
use crate::store::RequestedReplay;
use crate::tasks::{Stopped, Tasks};
use crate::vehicle::{LinkFinding, ListenerTls, VehicleCa};

/// Overview messages at most this often.
const OVERVIEW_EVERY: Duration = Duration::from_secs(1);
/// Health messages at most this often.
const HEALTH_EVERY: Duration = Duration::from_secs(5);
/// Vehicles that another program has registered are let in after at most this time.
const REGISTRY_EVERY: Duration = Duration::from_secs(5);
/// What the listeners saw of sessions becomes rows at most this often.
const FINDINGS_EVERY: Duration = Duration::from_secs(1);
/// Turns of the registry after which the listeners' certificates are renewed: ten days, of the 397 that they are good.
const LISTENER_TURNS: u32 = 10 * 86_400 / 5;
/// Confirmed updates are judged this often; a read of an index where there are none.
const JUDGE_EVERY: Duration = Duration::from_secs(1);
/// Entries of the quarantine that somebody wants taken again are looked for this often.
const REPLAYS_EVERY: Duration = Duration::from_secs(1);
/// Entries that are read at once: each has 1 MiB at most.
const REPLAYS_AT_ONCE: u32 = 16;
/// Lapsed sessions and commands are looked for this often.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// The lake's small files are merged this often: with four commits a second, 240 at most come together.
const MAINTAIN_EVERY: Duration = Duration::from_secs(60);

/// Starts all of it.
pub(crate) fn start(tasks: &Tasks, app: &Arc<App>, ca: Arc<VehicleCa>, identities: Vec<Arc<ListenerTls>>) {
    tasks.spawn("certificates", certificates(ca, identities, tasks.stopped()));
    tasks.spawn("overview", overview(app.clone(), tasks.stopped()));
    tasks.spawn("health", health(app.clone(), tasks.stopped()));
    tasks.spawn("registry", registry(app.clone(), tasks.stopped()));
    tasks.spawn("link findings", link_findings(app.clone(), tasks.stopped()));
    tasks.spawn("updates", updates(app.clone(), tasks.stopped()));
    tasks.spawn("replays", replays(app.clone(), tasks.stopped()));
    tasks.spawn("sweep", sweep(app.clone(), tasks.stopped()));
    tasks.spawn("maintain", maintain(app.clone(), tasks.stopped()));
}

/// Waits for the next turn; false when the server stops.
async fn turn(every: Duration, stopped: &mut Stopped) -> bool {
    tokio::select! {
        () = tokio::time::sleep(every) => true,
        () = stopped.wait() => false,
    }
}

/// Sends the overview when it has changed and somebody listens.
async fn overview(app: Arc<App>, mut stopped: Stopped) {
    let mut last: Option<Overview> = None;
    while turn(OVERVIEW_EVERY, &mut stopped).await {
        if app.hub.streams() == 0 {
            continue;
        }
        let Ok(mut now) = read_overview(&app).await else { continue };
        let as_of = now.as_of;
        // The moment alone is no change.
        if let Some(last) = &last {
            now.as_of = last.as_of;
        }
        if last.as_ref() != Some(&now) {
            now.as_of = as_of;
            app.hub.publish("overview", &now);
            last = Some(now);
        }
    }
}

/// Sends the health while somebody listens.
async fn health(app: Arc<App>, mut stopped: Stopped) {
    while turn(HEALTH_EVERY, &mut stopped).await {
        if app.hub.streams() == 0 {
            continue;
        }
        if let Ok(health) = read_health(&app).await {
            app.hub.publish("health", &health);
        }
    }
}

/// Lets vehicles in that were registered meanwhile.
async fn registry(app: Arc<App>, mut stopped: Stopped) {
    while turn(REGISTRY_EVERY, &mut stopped).await {
        match app.directory.refresh(app.store.as_ref(), app.scope()).await {
            Ok(0) => {}
            Ok(vehicles) => tracing::info!(vehicles, "registered vehicles taken up"),
            Err(error) => tracing::warn!(%error, "registry not read"),
        }
        if let Err(error) = app.feeds.refresh().await {
            tracing::warn!(%error, "feeds not read");
        }
    }
}

/// Writes what the listeners saw of sessions into the event log, where the rules find it.
async fn link_findings(app: Arc<App>, mut stopped: Stopped) {
    while turn(FINDINGS_EVERY, &mut stopped).await {
        for finding in app.exchange.links().take_findings() {
            let LinkFinding::CertificateInTwoPlaces { vehicle, before, after, .. } = finding;
            let note = Note::CertificateUsedTwice { before: network_of(before), now: network_of(after) };
            let exchange = app.exchange.clone();
            // Appending waits for the disk.
            let noted = tokio::task::spawn_blocking(move || exchange.note(vehicle, note)).await;
            if !matches!(noted, Ok(Ok(()))) {
                tracing::error!(%vehicle, "a certificate in two places was not written down");
            }
        }
    }
}

/// Takes up new generations of the CA, and renews the listeners' certificates long before they end.
pub(crate) async fn certificates(
    ca: Arc<VehicleCa>,
    identities: Vec<Arc<ListenerTls>>,
    mut stopped: Stopped,
) {
    let mut turns = 0u32;
    while turn(REGISTRY_EVERY, &mut stopped).await {
        turns += 1;
        let has_news = match ca.reload() {
            Ok(has_news) => has_news,
            Err(error) => {
                tracing::error!(%error, "generations of the ca not read");
                continue;
            }
        };
        if !has_news && turns < LISTENER_TURNS {
            continue;
        }
        turns = 0;
        for tls in &identities {
            match tls.refresh(&ca) {
                Ok(()) => tracing::info!(generation = ca.generation(), "listener certificate renewed"),
                Err(error) => tracing::error!(%error, "listener certificate not renewed"),
            }
        }
    }
}

/// Returns the network of an address: a whole one is personal data, and tells no more about whose session it was.
fn network_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

/// Ends what has lapsed.
async fn sweep(app: Arc<App>, mut stopped: Stopped) {
    while turn(SWEEP_EVERY, &mut stopped).await {
        if let Err(error) = app.desk.sweep().await {
            tracing::warn!(%error, "lapsed commands not marked");
        }
        if let Err(error) = app.updates.sweep().await {
            tracing::warn!(%error, "lapsed updates not marked");
        }
        if let Err(error) = app.identity.sweep().await {
            tracing::warn!(%error, "lapsed sessions not removed");
        }
    }
}

/// Has orders judged that two persons agreed on: the rest of a large rollout, what the command line confirmed, and what
/// a crash left behind.
async fn updates(app: Arc<App>, mut stopped: Stopped) {
    while turn(JUDGE_EVERY, &mut stopped).await {
        if let Err(error) = app.updates.judge().await {
            tracing::warn!(%error, "confirmed updates not judged");
        }
    }
}

/// Puts entries of the quarantine that somebody wants taken again into the event log. One that a crash puts there twice is
/// taken once: the worker remembers it.
async fn replays(app: Arc<App>, mut stopped: Stopped) {
    // What was put there since the start, and is not yet in a checkpoint.
    let mut under_way = BTreeSet::new();
    while turn(REPLAYS_EVERY, &mut stopped).await {
        let mut after = 0;
        let mut seen = BTreeSet::new();
        loop {
            let requested = match app.store.requested_replays(app.scope(), after, REPLAYS_AT_ONCE).await {
                Ok(requested) => requested,
                Err(error) => {
                    tracing::warn!(%error, "replays not read");
                    break;
                }
            };
            let Some(last) = requested.last() else { break };
            after = last.number;
            seen.extend(requested.iter().map(|replay| replay.number));
            let fresh: Vec<RequestedReplay> =
                requested.into_iter().filter(|replay| under_way.insert(replay.number)).collect();
            let numbers: Vec<u64> = fresh.iter().map(|replay| replay.number).collect();
            if !fresh.is_empty() && !append(&app, fresh).await {
                // The next turn tries again.
                numbers.iter().for_each(|number| _ = under_way.remove(number));
                break;
            }
        }
        under_way.retain(|number| seen.contains(number));
    }
}

/// Returns the partition in which an entry is taken again: that of its vehicle, whose numbers only one worker knows. What a feed
/// brought, and what names no vehicle, stands in the first.
fn partition_of(replay: &RequestedReplay, partitions: u16) -> Partition {
    let vehicle = if replay.part.is_none() { claimed_vehicle(&replay.content) } else { None };
    vehicle.map_or(Partition(0), |vehicle| Partition::of(vehicle, partitions))
}

/// Appends replays to the event log; false if it failed.
async fn append(app: &Arc<App>, replays: Vec<RequestedReplay>) -> bool {
    let (app, numbers) = (app.clone(), replays.len());
    // Appending waits for the disk.
    let appended = tokio::task::spawn_blocking(move || {
        for replay in replays {
            let partition = partition_of(&replay, app.log.partitions());
            let RequestedReplay { number, at, part, content } = replay;
            let record =
                ReplayRecord { tenant: app.tenant, entry: number, received: at, part, bytes: content };
            app.log.append(partition, IngestTime(app.clock.now()), &[&record.emit()], &[])?;
        }
        app.feeds.wake();
        Ok::<_, AppendError>(())
    })
    .await;
    match appended {
        Ok(Ok(())) => {
            tracing::info!(entries = numbers, "entries of the quarantine are taken again");
            true
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "replays not stored; tried again");
            false
        }
        Err(error) => {
            tracing::error!(%error, "replays not stored");
            false
        }
    }
}

/// Keeps the lake's files few.
async fn maintain(app: Arc<App>, mut stopped: Stopped) {
    while turn(MAINTAIN_EVERY, &mut stopped).await {
        if let Err(error) = app.history.maintain().await {
            tracing::warn!(%error, "small files not merged");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_taken_again_where_its_vehicle_is() {
        let vehicle = outrider_types::VehicleId([7; 16]);
        let note = Note::CertificateUsedTwice { before: String::new(), now: String::new() };
        let record = outrider_ingest::NoteRecord { tenant: outrider_types::TenantId(1), vehicle, note };
        let replay = |content: Vec<u8>| RequestedReplay {
            number: 1,
            at: outrider_types::UnixMicros(0),
            part: None,
            content,
        };
        let partition = partition_of(&replay(record.emit()), 64);
        assert_eq!(partition, Partition::of(vehicle, 64));
        assert_ne!(partition, Partition(0), "so that the test can fail");
        assert_eq!(partition_of(&replay(b"nothing that names one".to_vec()), 64), Partition(0));
    }

    #[test]
    fn an_address_is_told_as_its_network() {
        let network = |text: &str| network_of(text.parse().expect("an address"));
        assert_eq!(network("203.0.113.77"), "203.0.113.0/24");
        assert_eq!(network("::ffff:203.0.113.77"), "203.0.113.0/24", "one vehicle, one spelling");
        assert_eq!(network("2001:db8:1:2::3"), "2001:db8:1::/48");
    }
}
