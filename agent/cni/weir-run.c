// SPDX-License-Identifier: Apache-2.0
/* Runs one container as processes of this machine, or a command inside a running one.
 *
 *   weir-run --cgroup DIR --netns PATH --hostname NAME --workdir DIR [--mount SOURCE:TARGET]... [--hide DIR]...
 *            --log FILE --log-bytes N --exit-file FILE [-- COMMAND...]
 *     Stays as the container's parent, so that it outlives the agent: writes its output to a log of bounded size and
 *     its exit code to a file. Says "started PID" (first process of the container's process namespace) or
 *     "failed REASON" on standard output, and closes it. Without COMMAND the container only holds its namespaces.
 *
 *   weir-run --join PID --cgroup DIR [--workdir DIR] -- COMMAND...
 *     Runs COMMAND in the namespaces of PID, with what a container may do, and ends with its exit code.
 */
#include "container.h"
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

static const char *log_file, *exit_file;
static long log_bytes = 10 << 20;
static int log_fd = -1;
static long log_size;

static void open_log(void)
{
	struct stat info;

	log_fd = open(log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (log_fd < 0 || fstat(log_fd, &info))
		cannot("open log \"%s\"", log_file);
	log_size = info.st_size;
}

/* Appends what is in the pipe. The full log becomes FILE.1, so the two hold 2 * log_bytes at most. False: at its end. */
static bool copy_output(int pipe_fd)
{
	char chunk[65536], old[512];
	ssize_t n = read(pipe_fd, chunk, sizeof(chunk));

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	if (log_size > 0 && log_size + n > log_bytes) {
		snprintf(old, sizeof(old), "%s.1", log_file);
		rename(log_file, old);
		close(log_fd);
		open_log();
	}
	/* A full disk loses output; it must not stop the container. */
	if (write(log_fd, chunk, n) > 0)
		log_size += n;
	return true;
}

static void write_exit(int code, const char *reason)
{
	char temporary[512];

	snprintf(temporary, sizeof(temporary), "%s.tmp", exit_file);
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return;
	dprintf(fd, "%d %s\n", code, reason);
	close(fd);
	rename(temporary, exit_file);
}

/* Tells the agent, if it listens, how the start went. */
static void report(pid_t init, const char *failure)
{
	if (*failure)
		printf("failed %s\n", failure);
	else
		printf("started %d\n", init);
	fflush(stdout);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(null, 1);
	dup2(null, 2);
	close(null);
}

/* All signals are blocked. Copies output and passes signals on until the container's first process is gone. Returns its exit code. */
static int supervise(pid_t init, int output, int failure)
{
	char reason[512] = "";
	int status = 0;
	sigset_t signals;

	sigfillset(&signals);
	struct pollfd fds[] = {
		{ .fd = signalfd(-1, &signals, SFD_CLOEXEC), .events = POLLIN },
		{ .fd = output, .events = POLLIN },
		{ .fd = failure, .events = POLLIN },
	};

	for (;;) {
		poll(fds, 3, -1);
		if (fds[2].revents) {
			ssize_t n = read(failure, reason, sizeof(reason) - 1);

			reason[n > 0 ? strcspn(reason, "\n") : 0] = 0;
			report(init, reason);
			fds[2].fd = -1;
		}
		if (fds[1].revents && !copy_output(output))
			fds[1].fd = -1;
		if (!fds[0].revents)
			continue;
		struct signalfd_siginfo info;

		if (read(fds[0].fd, &info, sizeof(info)) != sizeof(info))
			continue;
		if (info.ssi_signo != SIGCHLD) {
			if (info.ssi_signo != SIGPIPE)
				kill(init, info.ssi_signo);
			continue;
		}
		if (waitpid(init, &status, WNOHANG) == init)
			break;
	}
	fcntl(output, F_SETFL, O_NONBLOCK);
	for (struct pollfd rest = { .fd = output, .events = POLLIN }; poll(&rest, 1, 0) > 0;)
		if (!copy_output(output))
			break;
	if (fds[2].fd >= 0) {
		ssize_t n = read(failure, reason, sizeof(reason) - 1);

		reason[n > 0 ? strcspn(reason, "\n") : 0] = 0;
		report(init, *reason ? reason : "Cannot start: killed before it ran");
	}
	write_exit(exit_code(status), reason);
	return exit_code(status);
}

static int run(const struct container *c)
{
	int output[2], failure[2];

	failure_fd = 1; /* until there is a pipe for it, the agent hears directly */
	if (pipe2(output, O_CLOEXEC) || pipe2(failure, O_CLOEXEC))
		cannot("make a pipe");
	open_log();
	setsid();
	enter_cgroup(c->cgroup);
	if (unshare(CLONE_NEWPID))
		cannot("make a process namespace");
	sigset_t all, before;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before); /* before the fork: a child that ends at once must be heard of */
	pid_t init = fork();

	if (init < 0)
		cannot("make a process");
	if (init == 0) {
		int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

		failure_fd = failure[1];
		sigprocmask(SIG_SETMASK, &before, NULL);
		dup2(null, 0);
		dup2(output[1], 1);
		dup2(output[1], 2);
		run_init(c);
	}
	close(output[1]);
	close(failure[1]);
	return supervise(init, output[0], failure[0]);
}

static int join(const struct container *c, pid_t pid)
{
	int status;
	int target = syscall(SYS_pidfd_open, pid, 0);

	enter_cgroup(c->cgroup);
	if (target < 0 || setns(target, CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID |
						CLONE_NEWCGROUP))
		cannot("enter the container of process %d", pid);
	pid_t child = fork();

	if (child < 0)
		cannot("make a process");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execute(c);
	}
	forward_signals(child);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			cannot("wait for the command");
	return exit_code(status);
}

static int usage(const char *option)
{
	fprintf(stderr, "Cannot run: option \"%s\" is unknown or has no value\n", option);
	return 2;
}

int main(int argc, char **argv)
{
	struct container c = { .workdir = "", .hostname = "localhost" };
	pid_t join_pid = 0;

	for (int i = 1; i < argc; i += 2) {
		const char *name = argv[i], *value = argv[i + 1];

		if (!strcmp(name, "--")) {
			c.command = value ? argv + i + 1 : NULL;
			break;
		}
		if (!value)
			return usage(name);
		if (!strcmp(name, "--cgroup"))
			c.cgroup = value;
		else if (!strcmp(name, "--netns"))
			c.netns = value;
		else if (!strcmp(name, "--hostname"))
			c.hostname = value;
		else if (!strcmp(name, "--workdir"))
			c.workdir = value;
		else if (!strcmp(name, "--mount") && c.mount_count < MAX_MOUNTS && strchr(value, ':'))
			c.mounts[c.mount_count++] = value;
		else if (!strcmp(name, "--hide") && c.hidden_count < MAX_MOUNTS)
			c.hidden[c.hidden_count++] = value;
		else if (!strcmp(name, "--log"))
			log_file = value;
		else if (!strcmp(name, "--log-bytes"))
			log_bytes = atol(value);
		else if (!strcmp(name, "--exit-file"))
			exit_file = value;
		else if (!strcmp(name, "--join"))
			join_pid = atoi(value);
		else
			return usage(name);
	}
	if (!c.cgroup)
		return usage("--cgroup");
	if (join_pid > 0)
		return c.command ? join(&c, join_pid) : usage("--");
	if (!c.netns || !log_file || !exit_file)
		return usage(!c.netns ? "--netns" : !log_file ? "--log" : "--exit-file");
	return run(&c);
}
