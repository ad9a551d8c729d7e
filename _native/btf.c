/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where the members of the running kernel's structures lie: its own type
 * information, /sys/kernel/btf/vmlinux (Documentation/bpf/btf.rst). A header,
 * then types one after the other, numbered from 1, each with a tail whose
 * size its kind decides; then the names.
 */
#include "lowrun.h"

#include <linux/btf.h>
#include <stdbool.h>
#include <stdlib.h>

struct types {
    uint8_t *data;
    size_t size;
    const uint8_t *first, *end;
    const char *names;
    uint32_t names_size;
};

static int load(const char *path, struct types *ret_types)
{
    const struct btf_header *header;
    size_t room = 16 * 1024 * 1024;
    ssize_t n = 1;
    int fd = open(path, O_RDONLY | O_CLOEXEC), result = 0;

    *ret_types = (struct types) { 0 };
    if (fd < 0)
        return -errno;
    ret_types->data = malloc(room);
    while (ret_types->data != NULL && n > 0 && ret_types->size < room) {
        n = read(fd, ret_types->data + ret_types->size, room - ret_types->size);
        ret_types->size += n > 0 ? (size_t) n : 0;
    }
    if (n < 0 || ret_types->data == NULL)
        result = n < 0 ? -errno : -ENOMEM;
    close(fd);
    if (result < 0)
        return result;
    header = (const struct btf_header *) ret_types->data;
    if (ret_types->size < sizeof *header || header->magic != BTF_MAGIC || header->hdr_len > ret_types->size
        || (uint64_t) header->hdr_len + header->type_off + header->type_len > ret_types->size
        || (uint64_t) header->hdr_len + header->str_off + header->str_len > ret_types->size || header->str_len == 0)
        return -EPROTO;
    ret_types->first = ret_types->data + header->hdr_len + header->type_off;
    ret_types->end = ret_types->first + header->type_len;
    ret_types->names = (const char *) ret_types->data + header->hdr_len + header->str_off;
    ret_types->names_size = header->str_len;
    return ret_types->names[header->str_len - 1] == '\0' ? 0 : -EPROTO;
}

/* The bytes of a type with its tail; 0 for a kind that is not known. */
static size_t size_of(const struct btf_type *type)
{
    size_t count = BTF_INFO_VLEN(type->info), tail = 0;

    switch (BTF_INFO_KIND(type->info)) {
    case BTF_KIND_PTR: case BTF_KIND_FWD: case BTF_KIND_TYPEDEF: case BTF_KIND_VOLATILE: case BTF_KIND_CONST:
    case BTF_KIND_RESTRICT: case BTF_KIND_FUNC: case BTF_KIND_FLOAT: case BTF_KIND_TYPE_TAG:
        break;
    case BTF_KIND_INT: case BTF_KIND_VAR: case BTF_KIND_DECL_TAG:
        tail = sizeof(uint32_t);
        break;
    case BTF_KIND_ARRAY:
        tail = sizeof(struct btf_array);
        break;
    case BTF_KIND_STRUCT: case BTF_KIND_UNION:
        tail = count * sizeof(struct btf_member);
        break;
    case BTF_KIND_ENUM:
        tail = count * sizeof(struct btf_enum);
        break;
    case BTF_KIND_ENUM64:
        tail = count * sizeof(struct btf_enum64);
        break;
    case BTF_KIND_FUNC_PROTO:
        tail = count * sizeof(struct btf_param);
        break;
    case BTF_KIND_DATASEC:
        tail = count * sizeof(struct btf_var_secinfo);
        break;
    default:
        return 0;
    }
    return sizeof *type + tail;
}

static const char *name_at(const struct types *types, uint32_t offset)
{
    return offset < types->names_size ? types->names + offset : "";
}

/* By number, or, with 0, the structure of that name. */
static const struct btf_type *find(const struct types *types, uint32_t number, const char *name)
{
    const uint8_t *at = types->first;

    for (uint32_t i = 1; at + sizeof(struct btf_type) <= types->end; i++) {
        const struct btf_type *type = (const struct btf_type *) at;
        size_t size = size_of(type);

        if (size == 0 || size > (size_t) (types->end - at))
            return NULL;
        if (i == number || (number == 0 && BTF_INFO_KIND(type->info) == BTF_KIND_STRUCT
                            && strcmp(name_at(types, type->name_off), name) == 0))
            return type;
        at += size;
    }
    return NULL;
}

/* In bytes from the structure's start; members of an anonymous one are its own (CONFIG_RANDSTRUCT). */
static int offset_in(const struct types *types, const struct btf_type *type, const char *member)
{
    const struct btf_member *members = (const struct btf_member *) (type + 1);
    bool fields = BTF_INFO_KFLAG(type->info);

    for (uint32_t i = 0; i < BTF_INFO_VLEN(type->info); i++) {
        uint32_t bits = fields ? BTF_MEMBER_BIT_OFFSET(members[i].offset) : members[i].offset;
        const char *name = name_at(types, members[i].name_off);
        const struct btf_type *inner;
        int offset;

        if (strcmp(name, member) == 0)
            return (int) (bits / 8);
        if (*name != '\0' || (inner = find(types, members[i].type, NULL)) == NULL
            || (BTF_INFO_KIND(inner->info) != BTF_KIND_STRUCT && BTF_INFO_KIND(inner->info) != BTF_KIND_UNION))
            continue;
        offset = offset_in(types, inner, member);
        if (offset >= 0)
            return (int) (bits / 8) + offset;
    }
    return -ENOENT;
}

/* Fills in the offset of each of `wanted`; -ENOENT when the kernel lacks one. */
int lr_btf_offsets(const char *path, struct lr_btf_member *wanted, int count)
{
    struct types types;
    int result = load(path, &types);

    for (int i = 0; i < count && result >= 0; i++) {
        const struct btf_type *type = find(&types, 0, wanted[i].structure);

        result = wanted[i].offset = type != NULL ? offset_in(&types, type, wanted[i].member) : -ENOENT;
    }
    free(types.data);
    return result < 0 ? result : 0;
}
