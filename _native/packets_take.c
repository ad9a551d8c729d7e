/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From a ring's blocks to files, as pcapng's Enhanced Packet Blocks
 * (draft-ietf-opsawg-pcapng, section 4.3).
 *
 *     block  [ header | frame | frame | ... ]   handed over: TP_STATUS_USER
 *                                               open: the kernel still adds to it
 *
 * An open block can be read as well: the kernel counts a packet in (num_pkts)
 * under the lock that PACKET_STATISTICS takes, and copies its bytes at once
 * behind that; lr_processors_visit waits for those that are copied at this
 * moment. So the end of a run need not wait for the timer that hands the last
 * block over. What was taken from an open block is left out when it comes again.
 * num_pkts is set to 0 when a block is given back, since it is set by the
 * kernel only when the block is opened again.
 *
 * A network driver takes a VLAN tag out of the frame (skb->vlan_tci); it is
 * put back where it was, behind the two addresses.
 */
#include "lowrun.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>

#define EPB_TYPE 6
#define EPB_FLAGS 2
#define EPB_HEAD 28                     /* up to the packet's bytes */
#define EPB_TAIL 16                     /* flags (4 + 4), end of options (4), total length (4) */
#define SLL_SIZE 16                     /* LINKTYPE_LINUX_SLL's header */
#define VLAN_SIZE 4
#define EPB_ROOM (EPB_HEAD + SLL_SIZE + VLAN_SIZE + EPB_TAIL + 4)  /* beside the captured bytes, at most */

struct frame {
    const struct tpacket3_hdr *header;
    const struct sockaddr_ll *from;
    const uint8_t *bytes;
    uint32_t captured, size;            /* with what is put in front or put back */
    uint32_t added;
    uint64_t ns;
};

static struct tpacket_hdr_v1 *block_at(const struct lr_ring *ring, uint32_t block)
{
    return &((struct tpacket_block_desc *) (ring->map + (size_t) block * ring->block_size))->hdr.bh1;
}

static uint8_t *put16(uint8_t *to, uint16_t value)
{
    memcpy(to, &value, sizeof(value));
    return to + sizeof(value);
}

static uint8_t *put32(uint8_t *to, uint32_t value)
{
    memcpy(to, &value, sizeof(value));
    return to + sizeof(value);
}

static uint8_t *put(uint8_t *to, const void *bytes, size_t size)
{
    memcpy(to, bytes, size);
    return to + size;
}

static struct frame frame_of(const struct lr_ring *ring, const uint8_t *at)
{
    const struct tpacket3_hdr *header = (const struct tpacket3_hdr *) at;
    struct frame frame = {
        .header = header,
        .from = (const struct sockaddr_ll *) (at + TPACKET_ALIGN(sizeof(*header))),
        .bytes = at + header->tp_mac,
        .ns = header->tp_sec * UINT64_C(1000000000) + header->tp_nsec,
    };
    uint32_t split = ring->cooked ? 0 : 2 * ETH_ALEN;

    if (ring->cooked)
        frame.added = SLL_SIZE;
    if ((header->tp_status & TP_STATUS_VLAN_VALID) && header->tp_snaplen >= split)
        frame.added += VLAN_SIZE;
    frame.size = header->tp_len + frame.added;
    frame.captured = header->tp_snaplen + frame.added;
    if (frame.captured > ring->snaplen)
        frame.captured = ring->snaplen;
    return frame;
}

static uint8_t *put_vlan(uint8_t *to, const struct frame *frame)
{
    const struct tpacket_hdr_variant1 *tag = &frame->header->hv1;
    uint16_t type = frame->header->tp_status & TP_STATUS_VLAN_TPID_VALID ? tag->tp_vlan_tpid : ETH_P_8021Q;

    return put16(put16(to, htons(type)), htons((uint16_t) tag->tp_vlan_tci));
}

/* LINKTYPE_LINUX_SLL: type of packet, of hardware, address, then tag and protocol in the network's order. */
static uint8_t *put_cooked(uint8_t *to, const struct frame *frame)
{
    const struct sockaddr_ll *from = frame->from;

    to = put16(to, htons(from->sll_pkttype));
    to = put16(to, htons(from->sll_hatype));
    to = put16(to, htons(from->sll_halen));
    to = put(to, from->sll_addr, sizeof(from->sll_addr));
    if (frame->added > SLL_SIZE)
        to = put_vlan(to, frame);
    to = put16(to, from->sll_protocol);
    return put(to, frame->bytes, frame->header->tp_snaplen);
}

static uint8_t *put_ethernet(uint8_t *to, const struct frame *frame)
{
    uint32_t size = frame->header->tp_snaplen;

    if (frame->added == 0)
        return put(to, frame->bytes, size);
    to = put_vlan(put(to, frame->bytes, 2 * ETH_ALEN), frame);
    return put(to, frame->bytes + 2 * ETH_ALEN, size - 2 * ETH_ALEN);
}

/* Bits 0 and 1: the direction; bits 2 to 4: how it was received. */
static uint32_t flags_of(const struct frame *frame)
{
    enum { INBOUND = 1, OUTBOUND, UNICAST = 1 << 2, MULTICAST = 2 << 2, BROADCAST = 3 << 2, PROMISCUOUS = 4 << 2 };

    switch (frame->from->sll_pkttype) {
    case PACKET_OUTGOING:
        return OUTBOUND;
    case PACKET_HOST:
        return INBOUND | UNICAST;
    case PACKET_MULTICAST:
        return INBOUND | MULTICAST;
    case PACKET_BROADCAST:
        return INBOUND | BROADCAST;
    default:
        return INBOUND | PROMISCUOUS;
    }
}

static uint8_t *put_block(uint8_t *to, const struct lr_ring *ring, const struct frame *frame, uint32_t interface)
{
    uint32_t padded = (frame->captured + 3) & ~UINT32_C(3);
    uint32_t total = EPB_HEAD + padded + EPB_TAIL;
    uint8_t *bytes;

    to = put32(put32(to, EPB_TYPE), total);
    to = put32(to, interface);
    to = put32(put32(to, (uint32_t) (frame->ns >> 32)), (uint32_t) frame->ns);
    bytes = put32(put32(to, frame->captured), frame->size);
    if (ring->cooked)
        put_cooked(bytes, frame);
    else
        put_ethernet(bytes, frame);
    memset(bytes + frame->captured, 0, padded - frame->captured);
    to = put16(put16(bytes + padded, EPB_FLAGS), sizeof(uint32_t));
    to = put32(to, flags_of(frame));
    return put32(put32(to, 0), total);
}

/* Returns how many bytes were written: all, or the file's error says why not. */
static size_t write_out(struct lr_packet_file *file, const uint8_t *data, size_t size)
{
    size_t done = 0;

    while (done < size && file->error == 0) {
        ssize_t n = write(file->fd, data + done, size - done);

        if (n >= 0)
            done += (size_t) n;
        else if (errno != EINTR)
            file->error = errno;
    }
    return done;
}

/* Where blocks begin, for a disk that becomes full: the older mark is at least LR_PACKET_MARKED bytes from the end. */
static void mark(struct lr_packet_file *file)
{
    if (file->size - file->newer.size >= LR_PACKET_MARKED) {
        file->older = file->newer;
        file->newer = (struct lr_packet_mark) { .size = file->size, .packets = file->packets };
    }
}

/* Only the last packets matter, and this file is full of them: goes on with the other one. */
static void turn(struct lr_packet_file *file)
{
    int full = file->fd;

    if (ftruncate(file->spare, (off_t) file->head) < 0 || lseek(file->spare, (off_t) file->head, SEEK_SET) < 0)
        return;                         /* one that is too long is better than none */
    file->fd = file->spare;
    file->spare = full;
    file->size = file->head;
    file->packets = 0;
    file->older = file->newer = (struct lr_packet_mark) { .size = file->head };
}

/* The disk took all up to `end` and no more: ends the file with a whole block, and gives some room back,
 * for the end of the file and what else is kept of the run. */
static void cut(struct lr_packet_file *file, uint64_t end)
{
    struct lr_packet_mark kept = file->older;
    uint64_t back = (end - kept.size) / 4;
    uint32_t total;

    end -= back < LR_PACKET_SPARE ? back : LR_PACKET_SPARE;
    while (pread(file->fd, &total, sizeof(total), (off_t) (kept.size + sizeof(uint32_t))) == sizeof(total)
           && kept.size + total <= end) {
        kept.size += total;
        kept.packets++;
    }
    file->size = kept.size;
    file->packets = kept.packets;
    if (ftruncate(file->fd, (off_t) file->size) == 0)
        lseek(file->fd, (off_t) file->size, SEEK_SET);
}

/* Where the frame behind `at` is; 0 behind the last one of a block that was handed over. */
static uint32_t next_of(const uint8_t *block, uint32_t at)
{
    uint32_t step = ((const struct tpacket3_hdr *) (block + at))->tp_next_offset;

    return step == 0 ? 0 : at + step;
}

/* What is made in the buffer and not in the file yet. */
struct pending {
    struct lr_packet_file *file;
    const struct lr_packet_buffer *buffer;
    uint32_t size, packets;
};

static void flush(struct pending *pending)
{
    struct lr_packet_file *file = pending->file;
    size_t written = write_out(file, pending->buffer->data, pending->size);

    if (file->error == 0) {
        file->size += written;
        file->packets += pending->packets;
        mark(file);
        if (file->turn_size > 0 && file->size - file->head >= file->turn_size)
            turn(file);
    } else {
        cut(file, file->size + written);
        if (file->turn_size > 0) {      /* the other file makes room; what the buffer holds is lost */
            file->gap_error = file->error;
            file->error = 0;
            turn(file);
        }
    }
    pending->size = pending->packets = 0;
}

static void append(struct pending *pending, const struct lr_ring *ring, const struct frame *frame, uint32_t interface)
{
    struct lr_packet_file *file = pending->file;
    uint8_t *to;

    if (pending->size + frame->captured + EPB_ROOM > LR_PACKET_WRITE)
        flush(pending);
    to = pending->buffer->data + pending->size;
    pending->size += (uint32_t) (put_block(to, ring, frame, interface) - to);
    pending->packets++;
    file->unordered |= frame->ns < file->newest_ns;
    if (frame->ns > file->newest_ns)
        file->newest_ns = frame->ns;
}

/* Writes `count` packets for one reader, the first of them being the ring's number `taken` (from 0). */
static void give(const struct lr_ring *ring, const struct lr_packet_reader *reader,
                 const struct lr_packet_buffer *buffer, const uint8_t *block, uint32_t at, uint32_t count)
{
    struct pending pending = { .file = reader->file, .buffer = buffer };

    for (uint32_t i = 0; i < count && reader->file->error == 0; i++, at = next_of(block, at)) {
        if (ring->taken + i >= reader->after) {
            struct frame frame = frame_of(ring, block + at);

            append(&pending, ring, &frame, reader->interface);
        }
    }
    if (reader->file->error == 0)
        flush(&pending);
}

/* Takes packets of the present block until `end` of them are taken. */
static void take_until(struct lr_ring *ring, const struct lr_packet_reader *readers, int count,
                       const struct lr_packet_buffer *buffer, uint32_t end)
{
    const uint8_t *block = ring->map + (size_t) ring->block * ring->block_size;
    uint32_t at = ring->in_block == 0 ? block_at(ring, ring->block)->offset_to_first_pkt : ring->position;

    if (end <= ring->in_block)
        return;
    for (int i = 0; i < count; i++)
        give(ring, &readers[i], buffer, block, at, end - ring->in_block);
    for (; ring->in_block < end; ring->in_block++, ring->taken++)
        at = next_of(block, at);
    ring->position = at;
}

static int handed_over(const struct tpacket_hdr_v1 *header)
{
    return (__atomic_load_n(&header->block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) != 0;
}

/* Empties blocks that were handed over, at most `blocks`, and gives them back; returns how many. */
int lr_ring_take(struct lr_ring *ring, const struct lr_packet_reader *readers, int count,
                 const struct lr_packet_buffer *buffer, uint32_t blocks)
{
    uint32_t done = 0;

    for (; done < blocks; done++) {
        struct tpacket_hdr_v1 *header = block_at(ring, ring->block);

        if (!handed_over(header))
            break;
        take_until(ring, readers, count, buffer, header->num_pkts);
        header->num_pkts = 0;
        __atomic_store_n(&header->block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        ring->block = ring->block + 1 == ring->blocks ? 0 : ring->block + 1;
        ring->in_block = ring->position = 0;
    }
    return (int) done;
}

/* Takes what is in the ring, the open block included, until `limit` packets have been taken since it was made. */
int lr_ring_take_open(struct lr_ring *ring, const struct lr_packet_reader *readers, int count,
                      const struct lr_packet_buffer *buffer, uint64_t limit)
{
    while (ring->taken < limit) {
        struct tpacket_hdr_v1 *header = block_at(ring, ring->block);
        int over = handed_over(header); /* if so, num_pkts does not change any more */
        uint32_t held = __atomic_load_n(&header->num_pkts, __ATOMIC_ACQUIRE);
        uint64_t end = limit - ring->taken + ring->in_block;

        if (over && held <= end) {
            lr_ring_take(ring, readers, count, buffer, 1);
            continue;
        }
        take_until(ring, readers, count, buffer, held < end ? held : (uint32_t) end);
        if (ring->taken < limit && !handed_over(header))
            return -ENODATA;
    }
    return 0;
}

/* How many packets are in the ring, those in the open block included. */
uint64_t lr_ring_waiting(const struct lr_ring *ring)
{
    uint64_t waiting = 0;
    uint32_t block = ring->block;

    for (uint32_t i = 0; i < ring->blocks; i++) {
        const struct tpacket_hdr_v1 *header = block_at(ring, block);
        int over = handed_over(header);

        waiting += __atomic_load_n(&header->num_pkts, __ATOMIC_ACQUIRE);
        if (!over)
            break;
        block = block + 1 == ring->blocks ? 0 : block + 1;
    }
    return waiting - ring->in_block;
}
