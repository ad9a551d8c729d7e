/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A ring of packets: an AF_PACKET socket whose frames the kernel writes into
 * blocks of memory that are mapped here (TPACKET_V3).
 *
 *     socket (protocol 0) -> filter -> ring -> mmap -> bind
 *
 * The socket gets nothing until it is bound, so no packet is seen that the
 * filter has not passed, and none while there is no ring.
 *
 * Making a ring and closing it wait for grace periods of RCU in the kernel
 * (some 8 and 24 ms were measured, however small the ring): so a ring is used
 * for many runs, and several are made, and closed, at the same time.
 */
#include "lowrun.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <pthread.h>
#include <sys/mman.h>

/* A block with packets in it is handed over after so long, though not full. */
#define RETIRE_MS 200
/* Of no consequence with TPACKET_V3, but that it must divide a block. */
#define FRAME_SIZE 2048

int lr_ring_filter(int fd, const void *program, uint32_t instructions)
{
    struct sock_fprog filter = { .len = (unsigned short) instructions };

    filter.filter = (struct sock_filter *) (uintptr_t) program;
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0)
        return -errno;
    return 0;
}

static int map_ring(struct lr_ring *ring)
{
    struct tpacket_req3 request = {
        .tp_block_size = ring->block_size,
        .tp_block_nr = ring->blocks,
        .tp_frame_size = FRAME_SIZE,
        .tp_frame_nr = ring->block_size / FRAME_SIZE * ring->blocks,
        .tp_retire_blk_tov = RETIRE_MS,
    };
    int version = TPACKET_V3;
    int incoming_only = (int) ring->incoming_only;
    void *map;

    if (setsockopt(ring->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &incoming_only, sizeof(incoming_only)) < 0)
        return -errno;
    if (setsockopt(ring->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) < 0)
        return -errno;
    if (setsockopt(ring->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof(request)) < 0)
        return -errno;
    map = mmap(NULL, (size_t) ring->block_size * ring->blocks, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    ring->map = map;
    return 0;
}

static void *map_one(void *ring)
{
    ((struct lr_ring *) ring)->error = map_ring(ring);
    return NULL;
}

static void *close_one(void *argument)
{
    struct lr_ring *ring = argument;
    int fd = ring->fd;

    if (ring->map != NULL)
        munmap(ring->map, (size_t) ring->block_size * ring->blocks);
    ring->map = NULL;
    ring->fd = -1;
    if (fd >= 0)
        close(fd);
    return NULL;
}

/* Each in a thread of its own, so that they wait at the same time; the last one here. A thread that
 * cannot be had does no harm: then the ring's turn is here, too. */
static void each(struct lr_ring **rings, int count, void *(*function)(void *))
{
    pthread_t threads[64];
    int started = 0;

    for (int i = 0; i < count; i++) {
        if (i < count - 1 && started < (int) (sizeof(threads) / sizeof(*threads))
            && pthread_create(&threads[started], NULL, function, rings[i]) == 0)
            started++;
        else
            function(rings[i]);
    }
    while (started > 0)
        pthread_join(threads[--started], NULL);
}

/* What became of each is in its `error`: 0 or -errno. */
int lr_rings_map(struct lr_ring **rings, int count)
{
    each(rings, count, map_one);
    return 0;
}

/* Closes the descriptors, too. */
int lr_rings_close(struct lr_ring **rings, int count)
{
    each(rings, count, close_one);
    return 0;
}

/* An interface that is down can be bound: its packets are seen as soon as it is up. */
int lr_ring_bind(const struct lr_ring *ring, int index)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_ALL),
        .sll_ifindex = index,
    };

    if (bind(ring->fd, (struct sockaddr *) &address, sizeof(address)) < 0)
        return -errno;
    return 0;
}

/* Takes the error that waits at the socket: ENETDOWN when the interface went down, or away. */
int lr_ring_error(const struct lr_ring *ring)
{
    int error = 0;
    socklen_t size = sizeof(error);

    if (getsockopt(ring->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return -errno;
    return error;
}

/* Reading sets the kernel's counts to zero. */
int lr_ring_count(const struct lr_ring *ring, struct lr_ring_counts *ret_counts)
{
    struct tpacket_stats_v3 counts;
    socklen_t size = sizeof(counts);

    if (getsockopt(ring->fd, SOL_PACKET, PACKET_STATISTICS, &counts, &size) < 0)
        return -errno;
    ret_counts->packets = counts.tp_packets;
    ret_counts->drops = counts.tp_drops;
    ret_counts->freezes = counts.tp_freeze_q_cnt;
    return 0;
}
