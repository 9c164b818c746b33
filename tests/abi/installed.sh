#!/bin/sh
# A stranger's program against an installed satchel, found by CMake and by pkg-config, also after the
# installed tree was moved.
#   installed.sh BUILD_DIRECTORY CONSUMER_SOURCES
set -eu
build=$1
consumer=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/first" >/dev/null
mv "$work/first" "$work/prefix"
prefix=$work/prefix
lib=$(dirname "$(find "$prefix" -name libsatchel.so)")
version=$(PKG_CONFIG_PATH=$lib/pkgconfig pkg-config --modversion satchel)

check() {
  printf '%s\n' "$1"
  shift
  "$@" || { echo "failed: $*" >&2; exit 1; }
}

check "the links: libsatchel.so -> .so.0 -> .so.$version" test \
  "$(readlink "$lib/libsatchel.so") $(readlink "$lib/libsatchel.so.0")" = \
  "libsatchel.so.0 libsatchel.so.$version"
check "the soname is libsatchel.so.0" \
  sh -c "readelf -d '$lib/libsatchel.so' | grep -q 'soname: .libsatchel.so.0.'"
check "no path of the build stays in it" \
  sh -c "! readelf -d '$lib/libsatchel.so' | grep -Eq 'RPATH|RUNPATH'"
for file in include/satchel/satchel.h include/satchel/satchel.hpp; do
  check "$file is there" test -f "$prefix/$file"
done

cmake -S "$consumer" -B "$work/by_cmake" -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
cmake --build "$work/by_cmake" >/dev/null
check "found by CMake" test "$("$work/by_cmake/consumer")" = "satchel $version OK"
check "found by CMake, C++" test "$("$work/by_cmake/consumer_cxx")" = "satchel $version OK"

# shellcheck disable=SC2046 # the flags are words
cc -std=c99 "$consumer/consumer.c" -o "$work/by_pkg_config" \
  $(PKG_CONFIG_PATH=$lib/pkgconfig pkg-config --cflags --libs satchel) -Wl,-rpath,"$lib"
check "found by pkg-config" test "$("$work/by_pkg_config")" = "satchel $version OK"

if cmake -S "$consumer" -B "$work/too_new" -DCMAKE_PREFIX_PATH="$prefix" -DWANTED=99.0 \
  >/dev/null 2>&1; then
  echo "failed: a version that is not there was found" >&2
  exit 1
fi
