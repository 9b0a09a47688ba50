//! Whom a child is, between fork and exec: the rules of `child.rs` hold here, too.
//! What was given up must be gone for good, which is tried, not believed.

use nix::errno::Errno;
use nix::unistd::{self, Gid, Uid};

use super::child::fault;
use crate::supervise::{Fault, Step};

/// A user with all groups.
pub struct Identity {
    /// Real, effective and saved user.
    pub uid: Uid,
    /// Real, effective and saved group.
    pub gid: Gid,
    /// All others.
    pub groups: Vec<Gid>,
}

/// -1 leaves an id as it is (setresuid(2)).
const SAME: u32 = u32::MAX;

/// Groups first, for without the user's rights they cannot be set any more; then
/// a look back, since a saved id left over would be a way back to root.
///
/// # Errors
/// The step that failed, and why.
pub fn take_identity(identity: Option<&Identity>) -> Result<(), Fault> {
    let Some(Identity { uid, gid, groups }) = identity else { return Ok(()) };
    unistd::setgroups(groups).map_err(|errno| fault(Step::Groups, errno))?;
    unistd::setresgid(*gid, *gid, *gid).map_err(|errno| fault(Step::Group, errno))?;
    unistd::setresuid(*uid, *uid, *uid).map_err(|errno| fault(Step::User, errno))?;
    let root = Uid::from_raw(0);
    let is_root = uid.is_root();
    if !is_root && unistd::setresuid(root, root, root).is_ok() {
        return Err(fault(Step::User, Errno::EPERM));
    }
    Ok(())
}

/// Opens streams with the rights of the service, and no more, before it has only
/// these: later on there may be another `/`, and no free descriptor.
pub(super) fn lend_identity(
    identity: Option<&Identity>,
    late: [bool; 3],
    open: impl FnOnce() -> Result<[bool; 3], Fault>,
) -> Result<(), Fault> {
    let Some(Identity { uid, gid, groups }) = identity else { return Ok(()) };
    if late == [false; 3] {
        return Ok(());
    }
    let (own_uid, own_gid, same_uid, same_gid) =
        (Uid::effective(), Gid::effective(), Uid::from_raw(SAME), Gid::from_raw(SAME));
    unistd::setgroups(groups).map_err(|errno| fault(Step::Groups, errno))?;
    unistd::setresgid(same_gid, *gid, same_gid).map_err(|errno| fault(Step::Group, errno))?;
    unistd::setresuid(same_uid, *uid, same_uid).map_err(|errno| fault(Step::User, errno))?;
    open()?;
    unistd::setresuid(same_uid, own_uid, same_uid).map_err(|errno| fault(Step::User, errno))?;
    unistd::setresgid(same_gid, own_gid, same_gid).map_err(|errno| fault(Step::Group, errno))
}
