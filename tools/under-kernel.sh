#!/bin/sh
# Runs a command in this checkout as root under another Debian kernel:
#
#   sudo tools/under-kernel.sh linux-image-6.1.0-50-amd64 './weir check && ./weir dev test bpf/'
#
# KERNEL is a package that apt knows, or the path of a .deb file. The kernel boots in a virtual machine whose root is this
# machine's, read through 9p below a layer in memory: what the command writes is gone when it ends. stdin is empty; the
# exit code is the command's. It has two processors and 4 GiB (MEMORY=8G changes that). Without a KVM that runs it
# (ACCELERATOR=tcg where /dev/kvm exists but boots nothing) it is emulated: ten times slower and more, so that tests with
# a clock in them may fail. Unpacked kernels stay in test/.cache/kernels.
set -eu
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
top=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")
cache="$top/test/.cache/kernels"

main() {
  [ $# -ge 2 ] || fail 'run under another kernel: no command (tools/under-kernel.sh KERNEL COMMAND...)'
  require qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio modprobe:kmod xz:xz-utils
  [ "$(id -u)" = 0 ] || fail 'run under another kernel: it needs root, to read all files: run it with sudo'
  unpack "$1"
  shift
  share=$(mktemp -d -t weir-under-kernel.XXXXXX)
  machine=''
  trap '[ -z "$machine" ] || kill "$machine" 2>/dev/null || :; rm -rf "$share"' EXIT
  trap 'exit 130' INT TERM HUP
  printf 'cd "%s"\n%s\n' "$top" "$*" >"$share/command"
  make_initramfs >"$share/initramfs"
  boot
  # Whatever ended the machine before the command did has no code to show.
  [ -s "$share/code" ] || fail "run the command to its end: the machine under $release stopped before"
  exit "$(cat "$share/code")"
}

# require COMMAND:PACKAGE...
require() {
  absent=''
  for pair; do command -v "${pair%:*}" >/dev/null || absent="$absent ${pair#*:}"; done
  [ -z "$absent" ] || fail "run under another kernel: Debian packages are missing:$absent"
}

# Sets $kernel (what the package holds) and $release.
unpack() {
  kernel="$cache/$(basename -- "$1" .deb)"
  if ! [ -e "$kernel" ]; then
    part="$kernel.part"
    rm -rf "$part" && mkdir -p "$part"
    case $1 in
      *.deb) deb=$1 ;;
      # apt's own user may not write here
      *) (cd "$part" && apt-get -q -o APT::Sandbox::User=root download "$1" >&2) && deb=$(ls "$part"/*.deb) ;;
    esac
    dpkg-deb -x "$deb" "$part" || fail "unpack kernel \"$1\""
    [ -e "$part/lib" ] || ln -s usr/lib "$part/lib" # from Debian 13 on
    [ -d "$part/lib/modules" ] || fail "use \"$1\": no kernel is in it (it may depend on the package that has one)"
    rm -f "$part"/*.deb
    depmod -b "$part" "$(ls "$part/lib/modules")"
    mv "$part" "$kernel"
  fi
  release=$(ls "$kernel/lib/modules")
}

# What has to be there before the root can be mounted.
make_initramfs() (
  mkdir -p "$share/tree/bin" "$share/tree/modules" && cd "$share/tree"
  cp "$(command -v busybox)" bin/busybox
  for module in virtio_pci 9pnet_virtio 9p overlay; do
    modprobe -d "$kernel" -S "$release" --show-depends "$module"
  done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >order
  while read -r file; do
    name="modules/$(basename -- "$file" .xz)"
    case $file in *.xz) xz -dc "$file" >"$name" ;; *) cp "$file" "$name" ;; esac
    echo "$name"
  done <order >names
  early_script >init && chmod 755 init
  find . | cpio --quiet -o -H newc
)

early_script() {
  cat <<END
#!/bin/busybox sh
/bin/busybox --install -s /bin
mkdir -p /proc /dev /lower /layer /top
mount -t proc proc /proc
mount -t devtmpfs dev /dev
while read -r file; do insmod "\$file"; done </names
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose root /lower
mount -t tmpfs -o size=75% layer /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work overlay /top
mkdir -p /top/lib/modules
mount -o bind "/lower$kernel/lib/modules" /top/lib/modules
mount -t proc proc /top/proc
mount -t sysfs sys /top/sys
mount -t cgroup2 cgroup /top/sys/fs/cgroup
mount -t devtmpfs dev /top/dev
mkdir -p /top/dev/pts /top/dev/shm
mount -t devpts pts /top/dev/pts
for path in dev/shm run; do mount -t tmpfs tmpfs "/top/\$path" && chmod 1777 "/top/\$path"; done
mkdir /top/run/share
mount -t 9p -o trans=virtio,version=9p2000.L share /top/run/share
ip link set lo up
stty -onlcr </dev/console
exec switch_root /top /bin/sh -c '
  export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
  setsid sh /run/share/command </dev/null
  echo \$? >/run/share/code
  echo o >/proc/sysrq-trigger
  sleep 60'
END
}

boot() {
  qemu-system-x86_64 -machine "pc,accel=${ACCELERATOR:-kvm:tcg}" -cpu max -smp 2 -m "${MEMORY:-4G}" \
    -nodefaults -no-user-config -display none -no-reboot -serial stdio \
    -kernel "$kernel/boot/vmlinuz-$release" -initrd "$share/initramfs" -append 'console=ttyS0 quiet panic=-1 mitigations=off' \
    -virtfs local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap \
    -virtfs "local,path=$share,mount_tag=share,security_model=none" </dev/null &
  machine=$!
  wait "$machine" || :
  machine=''
}

fail() {
  printf 'Cannot %s\n' "$1" >&2
  exit 1
}

main "$@"
