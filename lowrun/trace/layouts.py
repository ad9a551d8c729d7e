"""Structs of the kernel's interface as rows: one line a struct (layout.py says what it means).

    NAME  FIELD:TYPE ...

TYPE is a width in bytes with how it is printed: `i4` signed, `u4` unsigned,
`x4` hexadecimal, `o4` permission bits, `p` an address, `fd` a descriptor,
`sig` a signal, `uid`, `pid`, `dev` a device's number, `be2` network order, `s16` a string in so many bytes,
`h16` bytes in hexadecimal; `=SET` names the value by a set of constants.py;
`@STRUCT` is another struct; `*N` an array. `_4` skips bytes. `?` prints a
field only when it is not zero. `|`: fields behind it are printed as far as the
struct's size goes, those before must be there. `...` is printed as such. An
indented line goes on with the row before it.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["TYPE", "layout_names", "layout_row", "layout_size", "unwrapped", "value_size"]

#: A TYPE: how, the set's name, the array's length, whether it is printed when it is not zero only.
TYPE = re.compile(r"([a-z@]\w*?)(?:=(\w+))?(?:\*(\d+))?(\?)?")
_SIZES = {"p": 8, "fd": 4, "sig": 4, "uid": 4, "pid": 4, "dev": 8, "in4": 4}
_NUMBERED = re.compile(r"(?:i|u|x|o|s|h|fd|be)(\d+)")

LAYOUTS = """
winsize         ws_row:u2 ws_col:u2 ws_xpixel:u2 ws_ypixel:u2
flock           l_type:i2=lock_types l_whence:i2=whence _4 l_start:i8 l_len:i8 _8
flock_got       l_type:i2=lock_types l_whence:i2=whence _4 l_start:i8 l_len:i8 l_pid:pid _4
owner_ex        type:i4=owner_type pid:pid
futex_waitv     val:x8 uaddr:p flags:u4=futex_waitv_flags _4
futex_pair      first:@futex_waitv second:@futex_waitv
mount_attr      attr_set:u8=mount_attr attr_clr:u8=mount_attr propagation:u8=propagation userns_fd:u8
mq_attr         mq_flags:x8=mq_flags mq_maxmsg:i8 mq_msgsize:i8 mq_curmsgs:i8 _32
sembuf          sem_num:u2 sem_op:i2 sem_flg:u2=semop_flags
seminfo         semmap:i4 semmni:i4 semmns:i4 semmnu:i4 semmsl:i4 semopm:i4 semume:i4 semusz:i4 semvmx:i4 semaem:i4
msginfo         msgpool:i4 msgmap:i4 msgmax:i4 msgmnb:i4 msgmni:i4 msgssz:i4 msgtql:i4 msgseg:u2 _2
shminfo64       shmmax:u8 shmmin:u8 shmmni:u8 shmseg:u8 shmall:u8 _32
shm_info        used_ids:i4 _4 shm_tot:u8 shm_rss:u8 shm_swp:u8 swap_attempts:u8 swap_successes:u8
landlock_ruleset handled_access_fs:u8=landlock_fs
landlock_path   allowed_access:u8=landlock_fs parent_fd:fd
landlock_port   allowed_access:u8=landlock_net port:u8
cachestat_range off:u8 len:u8
cachestat       nr_cache:u8 nr_dirty:u8 nr_writeback:u8 nr_evicted:u8 nr_recently_evicted:u8
mnt_id_req      size:u4 _4 mnt_id:x8 param:x8 | mnt_ns_id:x8
statmount_req   size:u4 _4 mnt_id:x8 param:u8=statmount_mask | mnt_ns_id:x8
xattr_args      value:p size:u4 flags:u4=xattr_flags
file_attr       fa_xflags:u8=fs_xflags fa_extsize:u4 fa_nextents:u4 fa_projid:u4 fa_cowextsize:u4
fsxattr         fsx_xflags:u4=fs_xflags fsx_extsize:u4 fsx_nextents:u4 fsx_projid:u4 fsx_cowextsize:u4 _8
clone_range     src_fd:i8 src_offset:u8 src_length:u8 dest_offset:u8
kcmp_slot       efd:fd tfd:fd toff:u4
timeval         tv_sec:i8 tv_usec:u8
timex           modes:u4=timex_modes _4 offset:i8 freq:i8 maxerror:i8 esterror:i8 status:u4=timex_status _4
    constant:i8 precision:i8 tolerance:i8 time:@timeval tick:i8 ppsfreq:i8 jitter:i8 shift:i4 _4 stabil:i8
    jitcnt:i8 calcnt:i8 errcnt:i8 stbcnt:i8 tai:i4 _44
rtc_time        tm_sec:i4 tm_min:i4 tm_hour:i4 tm_mday:i4 tm_mon:i4 tm_year:i4 _12 ...
rtc_wkalrm      enabled:u1 pending:u1 _2 time:@rtc_time
loop_info64     _24 lo_offset:x8 _8 lo_number:u4 _8 lo_flags:u4=loop_flags lo_file_name:s64 _64 _32 _16 ...
loop_config     fd:fd block_size:u4 info:@loop_info64 _64
sysctl_args     name:p nlen:i4 _4 oldval:p oldlenp:p newval:p newlen:u8 _32
dqblk           dqb_bhardlimit:u8 dqb_bsoftlimit:u8 dqb_curspace:u8 dqb_ihardlimit:u8 dqb_isoftlimit:u8
    dqb_curinodes:u8 _16 _8 ...
nextdqblk       dqb_bhardlimit:u8 dqb_bsoftlimit:u8 dqb_curspace:u8 dqb_ihardlimit:u8 dqb_isoftlimit:u8
    dqb_curinodes:u8 _16 _4 dqb_id:u4 ...
sq_off          head:u4 tail:u4 ring_mask:u4 ring_entries:u4 flags:u4 dropped:u4 array:u4 resv1:x4? resv2:x8?
cq_off          head:u4 tail:u4 ring_mask:u4 ring_entries:u4 overflow:u4 cqes:u4 flags:u4 resv1:x4? resv2:x8?
linger          l_onoff:i4 l_linger:i4
ucred           pid:pid uid:uid gid:uid
ip_mreq         imr_multiaddr:in4 imr_interface:in4
tpacket_req     tp_block_size:u4 tp_block_nr:u4 tp_frame_size:u4 tp_frame_nr:u4
tpacket_stats   tp_packets:u4 tp_drops:u4
keyctl_dh       private:u4=key_spec prime:u4=key_spec base:u4=key_spec
pkey_query      supported_ops:u4=keyctl_pkey key_size:u4 max_data_size:u2 max_sig_size:u2 max_enc_size:u2
    max_dec_size:u2 _40
sock_fprog      len:u2 _6 filter:p
bpf_obj_info    bpf_fd:fd info_len:u4 info:p
bpf_elem        map_fd:fd _4 key:p value:p | flags:u8=bpf_elem_flags
bpf_lookup      map_fd:fd _4 key:p value:p | flags:u8=bpf_elem_flags
bpf_delete      map_fd:fd _4 key:p
bpf_next_key    map_fd:fd _4 key:p next_key:p
bpf_map_fd      map_fd:fd
bpf_attach      target_fd:fd attach_bpf_fd:fd attach_type:u4=bpf_attach attach_flags:u4=bpf_attach_flags |
    replace_bpf_fd:fd?
bpf_detach      target_fd:fd _4 attach_type:u4=bpf_attach
bpf_next_id     start_id:u4 next_id:u4 | open_flags:u4=bpf_file_flags
bpf_prog_id     prog_id:u4 next_id:u4 | open_flags:u4=bpf_file_flags
bpf_map_id      map_id:u4 next_id:u4 | open_flags:u4=bpf_file_flags
bpf_btf_id      btf_id:u4
bpf_link_id     link_id:u4
bpf_link        prog_fd:fd target_fd:fd attach_type:u4=bpf_attach flags:x4
bpf_btf_load    btf:p btf_log_buf:p btf_size:u4 btf_log_size:u4 btf_log_level:u4
"""


def unwrapped(text: str) -> list[str]:
    """Return the lines of a table's text; an indented one belongs to the line before it (behind a comma at once)."""
    return text.replace(",\n    ", ",").replace("\n    ", " ").strip().splitlines()


@lru_cache(maxsize=1)
def _rows() -> dict[str, str]:
    rows = {}
    for line in unwrapped(LAYOUTS):
        name, row = line.split(None, 1)
        rows[name] = row
    return rows


def layout_row(name: str) -> str:
    """Return the row of the struct `name`."""
    return _rows()[name]


def layout_names() -> frozenset[str]:
    """Return the names of all structs."""
    return frozenset(_rows())


def value_size(kind: str) -> int:
    """Return how many bytes a TYPE without array has."""
    if kind.startswith("@"):
        return layout_size(kind[1:])
    number = _NUMBERED.fullmatch(kind)
    assert number is not None or kind in _SIZES, kind
    return int(number[1]) if number is not None else _SIZES[kind]


@lru_cache(maxsize=256)
def layout_size(name: str) -> int:
    """Return how many bytes the struct `name` has at most."""
    size = 0
    for word in _rows()[name].split():
        if word.startswith("_"):
            size += int(word[1:])
        elif ":" in word:
            match = TYPE.fullmatch(word.partition(":")[2])
            assert match is not None, word
            size += value_size(match[1]) * int(match[3] or 1)
    return size
