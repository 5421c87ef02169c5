/* SPDX-License-Identifier: Apache-2.0 */
/* What a container's process sees: its namespaces, mounts, capabilities and standard streams. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_MOUNTS 16
#define EXIT_CANNOT_START 127

struct container {
	const char *cgroup;
	const char *netns;
	const char *hostname;
	const char *workdir;
	const char *mounts[MAX_MOUNTS]; /* "source:target", a file or directory over another one */
	int mount_count;
	const char *hidden[MAX_MOUNTS]; /* directories that the container shall see empty */
	int hidden_count;
	char **command; /* NULL: none, the container only holds its namespaces */
};

/* Where the reason goes when the container cannot start. */
static int failure_fd = 2;

static void __attribute__((noreturn, format(printf, 1, 2))) cannot(const char *format, ...)
{
	char text[512];
	int error = errno;
	va_list list;

	va_start(list, format);
	int length = vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	dprintf(failure_fd, "Cannot %.*s: %s\n", length, text, strerror(error));
	_exit(EXIT_CANNOT_START);
}

static void enter_cgroup(const char *path)
{
	char file[512];

	snprintf(file, sizeof(file), "%s/cgroup.procs", path);
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) != 1)
		cannot("enter cgroup \"%s\"", path);
	close(fd);
}

/* Capabilities as container runtimes give them by default, without mknod: a pod must not reach into the node. */
static const int kept_capabilities[] = {
	CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,	    CAP_FSETID,	 CAP_KILL,	 CAP_SETGID,	  CAP_SETUID,
	CAP_SETPCAP, CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_SYS_CHROOT, CAP_AUDIT_WRITE, CAP_SETFCAP,
};

/* The bounding set is enough: a program that root executes gets no more than it holds. */
static void limit_capabilities(void)
{
	for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++) {
		bool keep = false;

		for (size_t i = 0; i < sizeof(kept_capabilities) / sizeof(*kept_capabilities); i++)
			keep |= kept_capabilities[i] == capability;
		if (!keep && prctl(PR_CAPBSET_DROP, capability))
			cannot("drop capability %d", capability);
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static void mount_or_fail(const char *source, const char *target, const char *type, unsigned long flags)
{
	if (mount(source, target, type, flags, NULL))
		cannot("mount \"%s\" on \"%s\"", source, target);
}

static void make_mounts(const struct container *c)
{
	char source[512];

	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		cannot("detach the mounts");
	for (int i = 0; i < c->mount_count; i++) {
		const char *colon = strchr(c->mounts[i], ':');

		snprintf(source, sizeof(source), "%.*s", (int)(colon - c->mounts[i]), c->mounts[i]);
		mount_or_fail(source, colon + 1, NULL, MS_BIND);
	}
	for (int i = 0; i < c->hidden_count; i++)
		mount_or_fail("none", c->hidden[i], "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV);
	/* sysfs shows the network namespace of who mounts it; the new proc, the new process namespace. */
	mount_or_fail("sysfs", "/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
	mount_or_fail("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC);
	mount_or_fail("/proc/sys", "/proc/sys", NULL, MS_BIND);
	if (mount("none", "/proc/sys", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL))
		cannot("protect /proc/sys");
}

static void enter_namespaces(const struct container *c)
{
	int netns = open(c->netns, O_RDONLY | O_CLOEXEC);

	if (netns < 0 || setns(netns, CLONE_NEWNET))
		cannot("enter network namespace \"%s\"", c->netns);
	close(netns);
	if (unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP))
		cannot("make namespaces");
	if (sethostname(c->hostname, strlen(c->hostname)))
		cannot("set host name \"%s\"", c->hostname);
	make_mounts(c);
}

/* Becomes the container's command. */
static void __attribute__((noreturn)) execute(const struct container *c)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int signal_number = 1; signal_number < NSIG; signal_number++)
		signal(signal_number, SIG_DFL);
	umask(022);
	if (*c->workdir && chdir(c->workdir))
		cannot("use working directory \"%s\"", c->workdir);
	limit_capabilities();
	execvp(c->command[0], c->command);
	cannot("start \"%s\"", c->command[0]);
}

static volatile pid_t forward_to; /* negative: a process group */

static void forward_signal(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (info->si_code != SI_KERNEL) /* a terminal's Ctrl-C has reached the whole group already */
		kill(forward_to, number);
}

/* Signals that mean "end" or speak to the program go on to the process or group `target`. */
static void forward_signals(pid_t target)
{
	const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };
	struct sigaction action = { .sa_sigaction = forward_signal, .sa_flags = SA_RESTART | SA_SIGINFO };

	forward_to = target;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		sigaction(numbers[i], &action, NULL);
}

static int exit_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void end_pause(int number)
{
	(void)number;
	_exit(0);
}

/* First process of the container's process namespace: starts the command, takes in orphans, ends with the command. */
static void __attribute__((noreturn)) run_init(const struct container *c)
{
	int status;

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody would read what the container writes */
	prctl(PR_SET_NAME, "weir-init");
	enter_namespaces(c);
	if (!c->command) {
		signal(SIGTERM, end_pause);
		signal(SIGINT, end_pause);
		close(failure_fd);
		for (;;)
			pause();
	}
	pid_t child = fork();

	if (child < 0)
		cannot("make a process");
	if (child == 0) {
		setsid();
		execute(c);
	}
	close(failure_fd);
	forward_signals(-child);
	for (;;) {
		pid_t ended = waitpid(-1, &status, 0);

		if (ended == child)
			_exit(exit_code(status));
	}
}
