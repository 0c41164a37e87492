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

static __always_inline void put_be16(u8 *p, u16 v) { *(u16 *)p = bpf_htons(v); }
static __always_inline void put_be24(u8 *p, u32 v) { put_be16(p, v >> 8); p[2] = v; }
static __always_inline void put_be32(u8 *p, u32 v) { *(u32 *)p = bpf_htonl(v); }
static __always_inline void put_be40(u8 *p, u64 v) { put_be32(p, v >> 8); p[4] = v; }
static __always_inline void put_be48(u8 *p, u64 v) { put_be32(p, v >> 16); put_be16(p + 4, v); }
static __always_inline void put_be56(u8 *p, u64 v) { put_be32(p, v >> 24); put_be24(p + 4, v); }
static __always_inline void put_be64(u8 *p, u64 v) { *(u64 *)p = bpf_cpu_to_be64(v); }

// What `p` points to, all zeros. A macro, for the pointer's type says how it is aligned: else BPF stores single bytes.
// In pieces, for memset() of more than 1 kB would become a call, which BPF does not have.
#define clear(p) do { \
	typeof(p) start = (p); \
	for (u32 done = 0; done < sizeof(*start); done += 512) \
		__builtin_memset(__builtin_assume_aligned((u8 *)start + done, _Alignof(typeof(*start))), 0, \
				 sizeof(*start) - done < 512 ? sizeof(*start) - done : 512); \
} while (0)

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

// As of the kernel's last tick, for those who count in many ticks.
static __always_inline u64 coarse_microseconds(void)
{
	return bpf_ktime_get_coarse_ns() / 1000;
}

// ---- calculations, bit for bit as BMv2's ------------------------------------------------------------------

#include "crc_tables.h"

// The input of a calculation: `octets` bytes (a constant) in words of eight, the first byte the most significant one, the
// last word filled from its low end. In registers and not in memory: bytes that were just stored in other portions than
// they are loaded in make the processor wait.

// A word's bytes with the first one lowest, and how many there are.
static __always_inline u64 first_lowest(u64 word, u32 octets)
{
	return __builtin_bswap64(word << 8 * (8 - octets));
}

static __always_inline u32 octets_of(u32 word, u32 octets)
{
	return octets - 8 * word < 8 ? octets - 8 * word : 8;
}

// One word of a CRC that has WIDTH bits: all its bytes at once, for each step waits for the one before.
#define CRC_STEP(table, width, crc, word, octets) ({ \
	u64 left = first_lowest(word, octets) ^ (crc); \
	u32 sum = (octets) < (width) / 8 ? (crc) >> 8 * (octets) : 0; \
	_Pragma("unroll") for (u32 i = 0; i < 8; i++) \
		if (i < (octets)) \
			sum ^= table[(octets) - 1 - i][left >> 8 * i & 0xff]; \
	sum; \
})

// CRC-32 as in Ethernet and zlib.
static __always_inline u64 crc32(const u64 *input, u32 octets)
{
	u32 crc = ~0u;
#pragma unroll
	for (u32 word = 0; 8 * word < octets; word++)
		crc = CRC_STEP(crc32_table, 32, crc, input[word], octets_of(word, octets));
	return (u32)~crc;
}

// CRC-16/ARC.
static __always_inline u64 crc16(const u64 *input, u32 octets)
{
	u32 crc = 0;
#pragma unroll
	for (u32 word = 0; 8 * word < octets; word++)
		crc = CRC_STEP(crc16_table, 16, crc, input[word], octets_of(word, octets));
	return crc;
}

// The Internet checksum (RFC 1071).
static __always_inline u64 csum16(const u64 *input, u32 octets)
{
	u64 sum = 0;
#pragma unroll
	for (u32 word = 0; 8 * word < octets; word++) {
		u64 from_top = input[word] << 8 * (8 - octets_of(word, octets));
		sum += (from_top >> 32) + (u32)from_top;
	}
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

// All 16-bit words, the last one filled up with zeros.
static __always_inline u64 xor16(const u64 *input, u32 octets)
{
	u64 sum = 0;
#pragma unroll
	for (u32 word = 0; 8 * word < octets; word++)
		sum ^= input[word] << 8 * (8 - octets_of(word, octets));
	sum ^= sum >> 32;
	return (sum ^ sum >> 16) & 0xffff;
}

// The first eight bytes as a number.
static __always_inline u64 identity(const u64 *input, u32 octets)
{
	return octets ? input[0] : 0;
}
