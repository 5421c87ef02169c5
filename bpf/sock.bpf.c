// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* cgroup programs: sockets that ask for a service get one of its backends, and see the service in return. */
#include "lib/lb.h"
#include "lib/packet.h"

#define PASS 1 /* of cgroup programs; 0 fails the call */

INLINE void read4(const struct bpf_sock_addr *ctx, struct lb_end *end)
{
	map_ipv4(&end->ip, ctx->user_ip4);
	end->port = (__be16)ctx->user_port;
	end->protocol = ctx->protocol;
}

INLINE void write4(struct bpf_sock_addr *ctx, const struct lb_end *end)
{
	ctx->user_ip4 = ipv4_of(&end->ip);
	ctx->user_port = end->port;
}

/* Word by word: the context is no plain memory. An IPv4 address on an IPv6 socket is mapped already. */
INLINE void read6(const struct bpf_sock_addr *ctx, struct lb_end *end)
{
	__u32 words[4] = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] };

	__builtin_memcpy(&end->ip, words, sizeof(words));
	end->port = (__be16)ctx->user_port;
	end->protocol = ctx->protocol;
}

INLINE void write6(struct bpf_sock_addr *ctx, const struct lb_end *end)
{
	__u32 words[4];

	__builtin_memcpy(words, &end->ip, sizeof(words));
	ctx->user_ip6[0] = words[0];
	ctx->user_ip6[1] = words[1];
	ctx->user_ip6[2] = words[2];
	ctx->user_ip6[3] = words[3];
	ctx->user_port = end->port;
}

INLINE int forward4(struct bpf_sock_addr *ctx)
{
	struct lb_end end = {};
	int error;

	read4(ctx, &end);
	error = lb_forward(&end, bpf_get_socket_cookie(ctx));
	/* an IPv4 socket cannot reach an IPv6 backend: the agent writes none, and this is what holds if it does */
	if (!error && !is_mapped(&end.ip))
		error = -LB_ECONNREFUSED;
	if (error) {
		bpf_set_retval(error);
		return 0;
	}
	write4(ctx, &end);
	return PASS;
}

INLINE int forward6(struct bpf_sock_addr *ctx)
{
	struct lb_end end = {};
	int error;

	read6(ctx, &end);
	error = lb_forward(&end, bpf_get_socket_cookie(ctx));
	if (error) {
		bpf_set_retval(error);
		return 0;
	}
	write6(ctx, &end);
	return PASS;
}

INLINE int reverse4(struct bpf_sock_addr *ctx)
{
	struct lb_end end = {};

	read4(ctx, &end);
	if (lb_reverse(&end, bpf_get_socket_cookie(ctx)))
		write4(ctx, &end);
	return PASS;
}

INLINE int reverse6(struct bpf_sock_addr *ctx)
{
	struct lb_end end = {};

	read6(ctx, &end);
	if (lb_reverse(&end, bpf_get_socket_cookie(ctx)))
		write6(ctx, &end);
	return PASS;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	return forward4(ctx);
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	return forward6(ctx);
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	return forward4(ctx);
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	return forward6(ctx);
}

SEC("cgroup/recvmsg4")
int recvmsg4(struct bpf_sock_addr *ctx)
{
	return reverse4(ctx);
}

SEC("cgroup/recvmsg6")
int recvmsg6(struct bpf_sock_addr *ctx)
{
	return reverse6(ctx);
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *ctx)
{
	return reverse4(ctx);
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr *ctx)
{
	return reverse6(ctx);
}

char _license[] SEC("license") = "Dual BSD/GPL";
