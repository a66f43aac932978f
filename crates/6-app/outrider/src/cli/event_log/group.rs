//! Taking part in a group that shares partitions.

#[cfg(feature = "kafka")]
pub(crate) use with_kafka::Group;
#[cfg(not(feature = "kafka"))]
pub(crate) use without_kafka::Group;

#[cfg(feature = "kafka")]
mod with_kafka {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread::JoinHandle;
    use std::time::{Duration, Instant};

    use outrider_log::kafka::{KafkaConfig, KafkaError, KafkaMembership, MembershipConfig};
    use outrider_model::{LogOffset, Partition};
    use outrider_server::pipeline::Owners;
    use outrider_server::roles::RunningRole;

    use crate::cli::Failure;

    /// Longest wait for news of the group.
    const POLL: Duration = Duration::from_millis(100);
    /// How often the group's watchers are told how far it is.
    const TELL_EVERY: Duration = Duration::from_secs(5);
    /// How long handing everything over may take at the end.
    const LEAVE: Duration = Duration::from_secs(20);

    /// A group and the topic whose partitions it shares.
    pub(crate) struct Group {
        /// Name of the group.
        pub(crate) name: String,
        pub(in crate::cli) topic: KafkaConfig,
        pub(in crate::cli) session: Duration,
    }

    /// This process in a group.
    pub(crate) struct Member {
        stop: Arc<AtomicBool>,
        thread: JoinHandle<()>,
    }

    impl Group {
        /// Joins: partitions come from now on.
        ///
        /// # Errors
        /// Settings that cannot be right.
        pub(crate) async fn join(&self, role: &RunningRole) -> Result<Member, Failure> {
            let topic = self.topic.clone();
            let config = MembershipConfig {
                group: self.name.clone(),
                session: self.session,
                ..MembershipConfig::default()
            };
            let owners = role.owners().clone();
            let owner = role.owner();
            let joined =
                tokio::task::spawn_blocking(move || KafkaMembership::join(&topic, &config, owner)).await;
            let membership = joined.map_err(Failure::failed)?.map_err(Failure::failed)?;
            let stop = Arc::new(AtomicBool::new(false));
            let stopped = stop.clone();
            // Changes of ownership happen on this thread; some wait for a step to end.
            let thread = std::thread::Builder::new()
                .name("group".to_owned())
                .spawn(move || take_part(membership, &owners, &stopped));
            Ok(Member { stop, thread: thread.map_err(Failure::failed)? })
        }
    }

    fn take_part(membership: KafkaMembership, owners: &Owners, stop: &AtomicBool) {
        let mut told: BTreeMap<Partition, LogOffset> = BTreeMap::new();
        let mut at = Instant::now();
        while !stop.load(Ordering::SeqCst) {
            if let Err(error) = membership.poll(POLL) {
                tracing::error!(%error, "the group cannot be reached; tried again");
            }
            if at.elapsed() < TELL_EVERY {
                continue;
            }
            at = Instant::now();
            for (partition, status) in owners.statuses() {
                let done = status.checkpoint;
                if told.get(&partition).is_some_and(|told| *told >= done) || done.0 == 0 {
                    continue;
                }
                match membership.commit(partition, done) {
                    Ok(()) => _ = told.insert(partition, done),
                    // Only watchers need it.
                    Err(KafkaError::Fenced { .. }) => {}
                    Err(error) => tracing::debug!(%error, "the group was not told"),
                }
            }
        }
        membership.leave(LEAVE);
    }

    impl Member {
        /// Hands everything over and leaves.
        pub(crate) async fn leave(self) {
            self.stop.store(true, Ordering::SeqCst);
            let left = tokio::task::spawn_blocking(move || self.thread.join()).await;
            if !matches!(left, Ok(Ok(()))) {
                tracing::error!("the group was not left in order");
            }
        }
    }
}

#[cfg(not(feature = "kafka"))]
mod without_kafka {
    use outrider_server::roles::RunningRole;

    use crate::cli::Failure;

    /// A group, of which this program knows no kind.
    pub(crate) struct Group {
        /// Name of the group.
        pub(crate) name: String,
    }

    /// Nobody is one.
    pub(crate) enum Member {}

    impl Group {
        /// Refuses.
        pub(crate) async fn join(&self, _: &RunningRole) -> Result<Member, Failure> {
            Err(Failure::failed(crate::cli::event_log::NO_KAFKA))
        }
    }

    impl Member {
        /// Nobody leaves.
        pub(crate) async fn leave(self) {
            match self {}
        }
    }
}
