//! Networks as they are shown.

use super::config::NetworkConfig;
use super::endpoint::EndpointState;
use super::predefined;
use crate::EngineError;
use dhow_network::Subnet;
use dhow_state::{EndpointRow, NetworkRow, Read};

/// Everything about one network.
#[derive(Debug, Clone)]
pub struct NetworkView {
    /// 64 hex digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Nanoseconds since the Unix epoch; none for one that is predefined and that nobody has used.
    pub created: Option<i64>,
    /// What it is like.
    pub config: NetworkConfig,
    /// The containers on it, running or not.
    pub members: Vec<Member>,
    /// How many addresses of each subnet are leased, in the order of the subnets.
    pub leased: Vec<u64>,
}

/// A container on a network.
#[derive(Debug, Clone)]
pub struct Member {
    /// The container's id.
    pub container: String,
    /// Its name.
    pub name: String,
    /// What it was given; none while it does not run.
    pub given: Option<EndpointState>,
}

impl NetworkView {
    /// Whether nobody made it.
    pub fn is_predefined(&self) -> bool {
        predefined::is(&self.name)
    }

    pub(super) fn of(read: &Read<'_>, row: NetworkRow) -> Result<NetworkView, EngineError> {
        let config = NetworkConfig::of(&row)?;
        let made = read.network(&row.id)?.is_some();
        let leases = read.addresses(&row.id)?;
        let leased =
            |subnet: Subnet| leases.iter().filter(|lease| !lease.stale && subnet.contains(lease.address)).count();
        let leased = config.ipam.pools.iter().map(|pool| leased(pool.subnet) as u64).collect();
        let mut members = Vec::new();
        for endpoint in read.endpoints_of_network(&row.id)? {
            members.push(member(read, endpoint)?);
        }
        Ok(NetworkView { id: row.id, name: row.name, created: made.then_some(row.created), config, members, leased })
    }
}

fn member(read: &Read<'_>, endpoint: EndpointRow) -> Result<Member, EngineError> {
    let name = read.container(&endpoint.container)?.map(|row| row.name).unwrap_or_default();
    // One that cannot be read is shown as not running: `rm -f` of the container gets rid of it.
    let given = EndpointState::of(&endpoint).ok().flatten();
    Ok(Member { container: endpoint.container, name, given })
}
