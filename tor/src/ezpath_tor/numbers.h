// Bytes to numbers and back, and the calculations of BMv2. Included by runtime.h.

// ---- numbers ----------------------------------------------------------------------------------------------

// The stores and loads below may be unaligned: map memory allows that on every machine that Linux
// HAVE_EFFICIENT_UNALIGNED_ACCESS is set for, and the verifier refuses the program elsewhere.

static __always_inline u64 be16(const u8 *p) { return bpf_ntohs(*(const u16 *)p); }
static __always_inline u64 be24(const u8 *p) { return be16(p) << 8 | p[2]; }
static __always_inline u64 be32(const u8 *p) { return bpf_ntohl(*(const u32 *)p); }
static __always_inline u64 be40(const u8 *p) { return be32(p) << 8 | p[4]; }
static __always_inline u64 be48(const u8 *p) { return be32(p) << 16 | be16(p + 4); }
static __always_inline u64 be56(const u8 *p) { return be32(p) << 24 | be24(p + 4); }
static __always_inline u64 be64(const u8 *p) { return bpf_be64_to_cpu(*(const u64 *)p); }

static __always_inline u32 le32(const u8 *p)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return *(const u32 *)p;
#else
	return __builtin_bswap32(*(const u32 *)p);
#endif
}

static __always_inline void put_be16(u8 *p, u16 v) { *(u16 *)p = bpf_htons(v); }
static __always_inline void put_be24(u8 *p, u32 v) { put_be16(p, v >> 8); p[2] = v; }
static __always_inline void put_be32(u8 *p, u32 v) { *(u32 *)p = bpf_htonl(v); }
static __always_inline void put_be40(u8 *p, u64 v) { put_be32(p, v >> 8); p[4] = v; }
static __always_inline void put_be48(u8 *p, u64 v) { put_be32(p, v >> 16); put_be16(p + 4, v); }
static __always_inline void put_be56(u8 *p, u64 v) { put_be32(p, v >> 24); put_be24(p + 4, v); }
static __always_inline void put_be64(u8 *p, u64 v) { *(u64 *)p = bpf_cpu_to_be64(v); }

// `octets` is constant; memset() of more than 1 kB would become a call, which BPF does not have.
static __always_inline void clear(void *p, u32 octets)
{
	for (u32 done = 0; done < octets; done += 512)
		__builtin_memset((u8 *)p + done, 0, octets - done < 512 ? octets - done : 512);
}

// Compilers join or reorder tests of one variable in ways that the verifier cannot follow. Behind this, it is a new one.
static __always_inline u32 opaque(u32 value)
{
	asm volatile("" : "+r"(value));
	return value;
}

static __always_inline u64 modulo(u64 hash, u64 modulus)
{
	// As in BMv2: a modulus of 0 counts as 1.
	return modulus ? hash % modulus : 0;
}

static __always_inline u64 microseconds(void)
{
	return bpf_ktime_get_ns() / 1000;
}

// ---- calculations, bit for bit as BMv2's ------------------------------------------------------------------

#include "crc_tables.h"

// Four bytes a step: each step waits for the one before, so that fewer of them is what counts.
#define CRC_STEP(table, x) (table[3][(x) & 0xff] ^ table[2][(x) >> 8 & 0xff] ^ table[1][(x) >> 16 & 0xff] ^ table[0][(x) >> 24])

// CRC-32 as in Ethernet and zlib.
static __always_inline u64 crc32(const u8 *input, u32 octets)
{
	u32 crc = ~0u, i = 0;
	for (; i + 4 <= octets; i += 4) {
		u32 x = crc ^ le32(input + i);
		crc = CRC_STEP(crc32_table, x);
	}
	for (; i < octets; i++)
		crc = crc32_table[0][(crc ^ input[i]) & 0xff] ^ crc >> 8;
	return (u32)~crc;
}

// CRC-16/ARC.
static __always_inline u64 crc16(const u8 *input, u32 octets)
{
	u32 crc = 0, i = 0;
	for (; i + 4 <= octets; i += 4) {
		u32 x = crc ^ le32(input + i);
		crc = CRC_STEP(crc16_table, x);
	}
	for (; i < octets; i++)
		crc = crc16_table[0][(crc ^ input[i]) & 0xff] ^ crc >> 8;
	return crc & 0xffff;
}

// The Internet checksum (RFC 1071).
static __always_inline u64 csum16(const u8 *input, u32 octets)
{
	u32 sum = 0;
	for (u32 i = 0; i + 1 < octets; i += 2)
		sum += be16(input + i);
	if (octets % 2)
		sum += (u32)input[octets - 1] << 8;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

// All 16-bit words, the last one filled up with zeros.
static __always_inline u64 xor16(const u8 *input, u32 octets)
{
	u32 sum = 0;
	for (u32 i = 0; i + 1 < octets; i += 2)
		sum ^= be16(input + i);
	return octets % 2 ? sum ^ (u32)input[octets - 1] << 8 : sum;
}

// The first eight bytes as a number.
static __always_inline u64 identity(const u8 *input, u32 octets)
{
	u64 number = 0;
	for (u32 i = 0; i < octets && i < 8; i++)
		number = number << 8 | input[i];
	return number;
}
