// SPDX-License-Identifier: Apache-2.0
/* The CNI plugin (CNI spec 1.1): hands environment and standard input to the agent's socket and prints the answer.
 *
 * To the agent: each CNI_* variable as "NAME=value\0", an empty string, then the network configuration as it came.
 * From the agent: '+' or '-', then the result or the error object, then the end.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_CONFIG_BYTES (1 << 20)
#define MAX_REPLY_BYTES (1 << 20)
#define TIMEOUT_SECONDS 60 /* the agent itself gives up much earlier */
#define DEFAULT_SOCKET "/run/weir/node0/cni.sock"
#define NEWEST_VERSION "1.1.0"

enum { CODE_INVALID_ENVIRONMENT = 4, CODE_DECODE = 6, CODE_TRY_AGAIN = 11, CODE_UNAVAILABLE = 50 };

extern char **environ;
static char config[MAX_CONFIG_BYTES + 1];
static char reply[MAX_REPLY_BYTES + 1];
static char version[16] = NEWEST_VERSION;

static void print_escaped(const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			printf("\\u%04x", *text);
		else
			putchar(*text);
	}
}

static int fail(int code, const char *message, const char *details)
{
	printf("{\"cniVersion\":\"%s\",\"code\":%d,\"msg\":\"", version, code);
	print_escaped(message);
	printf("\",\"details\":\"");
	print_escaped(details);
	printf("\"}\n");
	return 1;
}

/* The end of the JSON string that begins after the quote at `at`: its closing quote, or the end of the text. */
static const char *string_end(const char *at)
{
	for (at++; *at && *at != '"'; at++)
		if (*at == '\\' && at[1])
			at++;
	return at;
}

static const char *skip_space(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

/* Copies the string value of a top-level key. False: absent, no plain string, or too long. */
static bool read_key(const char *json, const char *key, char *out, size_t out_size)
{
	int depth = 0;

	for (const char *at = json; *at; at++) {
		if (*at == '{' || *at == '[')
			depth++;
		if (*at == '}' || *at == ']')
			depth--;
		if (*at != '"')
			continue;
		const char *end = string_end(at);
		const char *next = *end ? skip_space(end + 1) : end;
		bool found = depth == 1 && *next == ':' && (size_t)(end - at - 1) == strlen(key) &&
			     !memcmp(at + 1, key, end - at - 1);
		if (found) {
			const char *value = skip_space(next + 1);
			const char *value_end = *value == '"' ? string_end(value) : value;
			size_t length = *value_end ? value_end - value - 1 : 0;

			if (*value != '"' || *value_end != '"' || length >= out_size || memchr(value, '\\', length))
				return false;
			memcpy(out, value + 1, length);
			out[length] = 0;
			return true;
		}
		if (!*end)
			return false;
		at = end;
	}
	return false;
}

/* Bytes read up to the end of `fd`; -1: failed, with errno; more than `room`: too much. */
static ssize_t read_all(int fd, char *buffer, size_t room)
{
	size_t size = 0;

	while (size <= room) {
		ssize_t n = read(fd, buffer + size, room + 1 - size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		size += n;
	}
	return size;
}

static bool send_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		data += n;
		size -= n;
	}
	return true;
}

static bool send_request(int fd, size_t config_size)
{
	for (char **variable = environ; *variable; variable++)
		if (!strncmp(*variable, "CNI_", 4) && !send_all(fd, *variable, strlen(*variable) + 1))
			return false;
	return send_all(fd, "", 1) && send_all(fd, config, config_size) && !shutdown(fd, SHUT_WR);
}

static int ask_agent(const char *path, size_t config_size, int away_code)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval timeout = { .tv_sec = TIMEOUT_SECONDS };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char away[256];

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	snprintf(away, sizeof(away), "Cannot reach the agent at \"%s\": it is not running or does not answer", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fail(away_code, away, strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (!send_request(fd, config_size))
		return fail(away_code, away, strerror(errno));
	ssize_t size = read_all(fd, reply, MAX_REPLY_BYTES);

	if (size < 1 || size > MAX_REPLY_BYTES || (reply[0] != '+' && reply[0] != '-'))
		return fail(away_code, away, size < 0 ? strerror(errno) : "it broke off before its answer");
	fwrite(reply + 1, 1, size - 1, stdout);
	return reply[0] == '+' ? 0 : 1;
}

int main(void)
{
	const char *command = getenv("CNI_COMMAND");
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)] = DEFAULT_SOCKET;
	ssize_t size = read_all(0, config, MAX_CONFIG_BYTES);

	if (size < 0)
		return fail(CODE_DECODE, "Cannot read the network configuration", strerror(errno));
	if (size > MAX_CONFIG_BYTES)
		return fail(CODE_DECODE, "Cannot read the network configuration: larger than 1 MiB", "");
	config[size] = 0;
	read_key(config, "cniVersion", version, sizeof(version));
	if (!command || !*command)
		return fail(CODE_INVALID_ENVIRONMENT, "Cannot run: CNI_COMMAND is not set", "");
	if (!strcmp(command, "VERSION")) {
		printf("{\"cniVersion\":\"%s\",\"supportedVersions\":[\"1.0.0\",\"1.1.0\"]}\n", version);
		return 0;
	}
	read_key(config, "socket", path, sizeof(path));
	return ask_agent(path, size, !strcmp(command, "STATUS") ? CODE_UNAVAILABLE : CODE_TRY_AGAIN);
}
