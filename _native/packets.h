/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Capture of packets: rings that the kernel fills (packet(7), the kernel's
 * Documentation/networking/packet_mmap.rst) and the files they are written to.
 */
#ifndef LR_PACKETS_H
#define LR_PACKETS_H

#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>

#define LR_MAC_MAX 8

/* ---- network interfaces: interfaces.c ---- */
struct lr_interface {
    int index;
    uint32_t flags;                     /* IFF_... */
    uint16_t hardware;                  /* ARPHRD_... */
    uint16_t mac_size;
    uint8_t mac[LR_MAC_MAX];
    char name[IF_NAMESIZE];
};
int lr_interface_read(int fd, int index, struct lr_interface *ret_interface);

/* ---- rings: packets.c ---- */
struct lr_ring {
    int fd;                             /* an AF_PACKET socket; the caller's */
    uint32_t block_size, blocks;
    uint32_t cooked;                    /* a SOCK_DGRAM socket: frames get an SLL header */
    uint32_t incoming_only;
    uint32_t snaplen;
    uint32_t block;                     /* the block that is taken next, */
    uint32_t in_block;                  /* how many of its packets are taken, */
    uint32_t position;                  /* and where the next one is; 0: the first */
    uint64_t taken;                     /* packets taken since the ring was made */
    uint8_t *map;
    int error;                          /* -errno of the thread that made it */
};
struct lr_ring_counts {
    uint32_t packets;                   /* that the filter accepted since the last time, drops included */
    uint32_t drops;
    uint32_t freezes;                   /* how often the ring became full */
};
int lr_ring_filter(int fd, const void *program, uint32_t instructions);
int lr_rings_map(struct lr_ring **rings, int count);
int lr_rings_close(struct lr_ring **rings, int count);
int lr_ring_bind(const struct lr_ring *ring, int index);
int lr_ring_error(const struct lr_ring *ring);
int lr_ring_count(const struct lr_ring *ring, struct lr_ring_counts *ret_counts);

/* ---- from a ring to files: packets_take.c ---- */
#define LR_PACKET_MARKED (128 << 10)
#define LR_PACKET_SPARE (32 << 10)      /* so much of a full disk is given back, at most */
struct lr_packet_mark {
    uint64_t size, packets;             /* of the file, here a block begins */
};
struct lr_packet_file {
    int fd;
    int error;                          /* why nothing more is written: an errno, or 0 */
    uint64_t size;                      /* of the file, whole blocks of it */
    uint64_t packets;                   /* how many are in it */
    uint64_t newest_ns;
    struct lr_packet_mark older, newer; /* places to cut it from */
    uint32_t unordered;                 /* 1: a packet is older than one before it */
    int gap_error;                      /* why packets are missing in between: an errno, or 0 */
    int spare;                          /* `fd` and this one take turns when a file has `turn_size` bytes of packets: */
    uint64_t turn_size, head;           /* the next one is emptied down to its head; a turn_size of 0: no turns */
};
struct lr_packet_reader {
    struct lr_packet_file *file;
    uint64_t after;                     /* it gets packets behind so many of the ring's */
    uint32_t interface;                 /* the ring's interface as the file numbers it */
};
#define LR_PACKET_WRITE (256 << 10)     /* written at a time, about */
struct lr_packet_buffer {
    uint32_t size;                      /* at least a block's, and LR_PACKET_WRITE, and some 256 bytes */
    uint8_t *data;
};
int lr_ring_take(struct lr_ring *ring, const struct lr_packet_reader *readers, int count,
                 const struct lr_packet_buffer *buffer, uint32_t blocks);
int lr_ring_take_open(struct lr_ring *ring, const struct lr_packet_reader *readers, int count,
                      const struct lr_packet_buffer *buffer, uint64_t limit);
uint64_t lr_ring_waiting(const struct lr_ring *ring);

/* ---- nothing is under way any more: packets_settle.c ---- */
int lr_processors_visit(void);

/* ---- the last of a file: packets_recent.c ---- */
int64_t lr_packets_recent(int fd, uint64_t first, uint64_t room, uint64_t since_ns);

/* ---- in order of time: packets_sort.c ---- */
int lr_packets_mend(int fd, uint64_t first, const uint32_t *stop);
int lr_packets_sort(int from, int to, uint64_t first, const uint32_t *stop);

#endif
