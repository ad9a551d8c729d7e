/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the kernel knows of a network interface (netdevice(7)). The calls act
 * in the network namespace that the socket `fd` was made in, wherever the
 * caller is; any kind of socket will do.
 */
#include "lowrun.h"

#include <net/if_arp.h>
#include <sys/ioctl.h>

/* -ENODEV: there is no interface with this index. */
int lr_interface_read(int fd, int index, struct lr_interface *ret_interface)
{
    struct lr_interface found = { .index = index };
    struct ifreq request = { .ifr_ifindex = index };

    if (ioctl(fd, SIOCGIFNAME, &request) < 0)
        return -errno;
    memcpy(found.name, request.ifr_name, sizeof(found.name));
    if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
        return -errno;
    found.flags = (uint16_t) request.ifr_flags;
    if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
        return -errno;
    found.hardware = request.ifr_hwaddr.sa_family;
    /* The call does not tell the address's length; 6 bytes are those of all that have one worth keeping. */
    found.mac_size = found.hardware == ARPHRD_ETHER || found.hardware == ARPHRD_LOOPBACK ? 6 : 0;
    memcpy(found.mac, request.ifr_hwaddr.sa_data, found.mac_size);
    *ret_interface = found;
    return 0;
}
