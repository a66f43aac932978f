#!/usr/bin/env bash
# SocketCAN end to end: a virtual machine with Debian's kernel, vcan and the agent with its feature `socketcan`.
# Part of `make soak`. Says SKIPPED where qemu, the kernel's package or a tool is not to be had. No network in the guest.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
    echo "SKIPPED: $1" >&2
    exit 0
}

needed=(qemu-system-x86_64 busybox cansend cpio openssl xxd)
lacks() {
    local tool
    for tool in "${needed[@]}"; do command -v "$tool" >/dev/null 2>&1 || return 0; done
    return 1
}
if lacks && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq >&2 || true
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        qemu-system-x86 busybox-static can-utils cpio openssl xxd >&2 || true
fi
lacks && skip "one of ${needed[*]} is not installed"
[ "$(uname -m)" = x86_64 ] || skip "the guest is x86-64"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root="$work/root"
mkdir -p "$root"/{bin,dev,proc,sys,tmp,etc,car/state,modules}

# Debian's kernel with its modules, unpacked, not installed.
package=$(apt-cache depends linux-image-amd64 2>/dev/null | awk '/Depends: linux-image-/ {print $2; exit}')
[ -n "$package" ] || skip "no kernel package is known to apt"
(cd "$work" && apt-get download -qq "$package" >&2) || skip "$package cannot be downloaded"
dpkg -x "$work"/linux-image-*.deb "$work/kernel"
kernel=$(echo "$work"/kernel/boot/vmlinuz-*)
for module in can can-dev can-raw vcan; do
    found=$(find "$work/kernel" -name "$module.ko*" | head -1)
    [ -n "$found" ] || continue
    case "$found" in
    *.xz) xz -dc "$found" >"$root/modules/$module.ko" ;;
    *) cp "$found" "$root/modules/$module.ko" ;;
    esac
done
[ -e "$root/modules/vcan.ko" ] || skip "$package has no vcan"

# AGENT names a program that is built already, with the feature.
agent=${AGENT:-}
if [ -z "$agent" ]; then
    cargo build --release --locked -p outrider-agent --features outrider-agent/socketcan
    agent="${CARGO_TARGET_DIR:-target}/release/outrider-agent"
fi
cp "$agent" "$root/bin/outrider-agent"
cp "$(command -v cansend)" "$root/bin/cansend"
for program in "$agent" "$(command -v cansend)"; do
    # A static program needs none, and `ldd` says so by failing.
    { ldd "$program" 2>/dev/null || true; } | { grep -o '/[^ ]*' || true; } | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
done
cp "$(command -v busybox)" "$root/bin/busybox"

# A provisioning whose cloud is not there: the way to the cloud is another test's.
key() { openssl pkey -in "$1" -pubout -outform DER | tail -c 32 | xxd -p -c 64; }
openssl genpkey -algorithm ed25519 -out "$work/ed.pem" 2>/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=car \
    -keyout "$root/car/key.pem" -out "$root/car/ca.pem" 2>/dev/null
printf '01%.0s' $(seq 32) >"$root/car/batch.key"
cat >"$root/car/vehicle.toml" <<TOML
tenant = 1
vehicle = "$(printf '05%.0s' $(seq 16))"
cloud = "https://127.0.0.1:1"
ca = "ca.pem"
certificate = "ca.pem"
key = "key.pem"
batch_key = "batch.key"
ack_public_key = "$(key "$work/ed.pem")"
command_public_key = "$(key "$work/ed.pem")"
state = "state"
TOML
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
B=/bin/busybox
echo "GUEST UP"
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
$B mount -t devtmpfs dev /dev
for module in can can-dev can-raw vcan; do
    [ -e /modules/$module.ko ] && $B insmod /modules/$module.ko
done
$B ip link set lo up
$B ip link add dev vcan0 type vcan
$B ip link set vcan0 mtu 72 up
/bin/outrider-agent run --config /car/vehicle.toml --can socketcan:vcan0 --seconds 20 &
$B sleep 5
for number in 1 2 3 4 5 6 7 8 9; do /bin/cansend vcan0 12$number#1122334455667788; done
/bin/cansend vcan0 1ABCDEF0##1112233
/bin/cansend vcan0 123#R4
$B sleep 4
echo "STATUS $(/bin/outrider-agent status --config /car/vehicle.toml --json)"
$B poweroff -f
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd.gz"

# Emulation by default: a machine that is itself virtual may have a /dev/kvm that does not work. QEMU_ACCEL=kvm is faster.
timeout 600 qemu-system-x86_64 -accel "${QEMU_ACCEL:-tcg}" -m 512 -nographic -no-reboot -nic none \
    -kernel "$kernel" -initrd "$work/initrd.gz" -append "console=ttyS0 panic=-1 quiet" </dev/null | tee "$work/console" >&2 || true
grep -a -q "GUEST UP" "$work/console" || skip "the guest did not start within ten minutes"
status=$(grep -a -o 'STATUS {.*}' "$work/console" | head -1)
[ -n "$status" ] || { echo "failed: the guest gave no status" >&2; exit 1; }
case "$status" in
*'"received":11'*) echo "SocketCAN in a guest: 11 frames sent, 11 received" ;;
*) echo "failed: not all 11 frames were received: $status" >&2; exit 1 ;;
esac
