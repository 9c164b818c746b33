// Reading an entry that others may be replacing at the same moment.
//
// Payload and meta are two files. They are read one after the other, and belong together if the
// payload's hash is the meta's. If it is not, either of them may have been replaced in between:
// only when both names still stand for the very files that were read did the two stand side by
// side. Otherwise they are read again. Side by side they are a damaged entry, unless one of them
// came a moment ago: then it may be the reference, which renames a payload beside the meta of
// before and then its own meta over that, and it is given a moment to do so.
//
// An entry in memory is served when the stamps of both files are those under which it was read, and
// a change since would have shown in them: when it was read the stamps were settled (whatever came
// later has a later ctime), the filesystem stamps every write, and the clock was not set since. A
// write through a mapping of a page that was dirty already escapes that; then the bytes served are
// still those stored, whose hash is the meta's, and no wrong one.
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "core/blake3.hpp"
#include "tool_cache/file_store_impl.hpp"
#include "tool_cache/payload_file.hpp"
#include "tool_cache/shard_files.hpp"

namespace satchel::tool_cache {
namespace {

constexpr std::uint64_t kInMemory = 1 << 20;
constexpr std::uint64_t kLargestMeta = 64 << 20;
constexpr int kLooks = 8;
// The reference writes a small file between its two renames.
constexpr std::int64_t kRecent = core::kNanosPerSecond;
constexpr std::array kPauses = {std::chrono::milliseconds(1), std::chrono::milliseconds(4)};

core::Result<Meta> parse_meta(const OpenedFile& file, const std::string& path) {
  if (file.stamp.size > kLargestMeta) {
    return core::Error{core::Status::kMeta, path + " is longer than 64 MiB"};
  }
  std::string text;
  text.resize(static_cast<std::size_t>(file.stamp.size));
  const std::ptrdiff_t n = core::read_at(file.fd.get(), 0, text.data(), text.size());
  if (n < 0) return core::io_error("cannot read " + path, errno);
  text.resize(static_cast<std::size_t>(n));
  core::Result<Meta> meta = read_meta(text);
  if (meta.ok()) return meta;
  core::Error error = meta.take_error();
  error.message = path + ": " + error.message;
  return error;
}

core::Result<std::shared_ptr<Payload>> load_small(const OpenedFile& file,
                                                  const PayloadFacts& facts) {
  const auto source = payload_source(file.fd.get(), facts.path, facts.encoding, facts.bytes);
  std::string bytes;
  bytes.resize(static_cast<std::size_t>(facts.bytes) + 1);  // one more shows that it has grown
  core::Result<std::size_t> n = source->read(0, bytes.data(), bytes.size());
  if (!n.ok()) return n.take_error();
  bytes.resize(*n);
  const core::Hash256 digest = core::blake3(bytes);
  const std::string actual = core::hex(digest.data(), digest.size());
  if (actual != facts.payload_hash) return integrity_error(facts, actual);
  return std::shared_ptr<Payload>(std::make_shared<MemoryPayload>(std::move(bytes)));
}

core::Result<std::shared_ptr<Payload>> load(OpenedFile file, PayloadFacts facts) {
  if (facts.bytes <= kInMemory) return load_small(file, facts);
  auto payload = std::make_shared<FilePayload>(std::move(file.fd), std::move(facts));
  if (core::Result<void> verified = payload->verify(); !verified.ok()) return verified.take_error();
  return std::shared_ptr<Payload>(std::move(payload));
}

struct Look {
  core::Result<Stored> result;
  bool torn = false;    // what was read may never have stood side by side
  bool recent = false;  // it did, but one of the two has just come
};

Look look_at(FileStore::Impl& store, const Key& key) {
  const std::int64_t now_ns = core::file_clock_ns();
  const core::ClockEpoch epoch = core::clock_epoch();
  const std::string directory = store.shard_path(key);
  core::Result<core::UniqueFd> shard =
      open_below(store.options.root, shard_name(shard_of(key)), Missing::kLeave);
  if (!shard.ok()) return {shard.take_error()};
  if (!shard->valid()) return {Stored{}};
  core::Result<OpenedFile> payload_file = open_file(shard->get(), payload_name(key), directory);
  if (!payload_file.ok()) return {payload_file.take_error()};
  if (!payload_file->fd.valid()) return {Stored{}};
  core::Result<OpenedFile> meta_file = open_file(shard->get(), meta_name(key), directory);
  if (!meta_file.ok()) return {meta_file.take_error()};
  if (!meta_file->fd.valid()) return {Stored{}};
  core::Result<Meta> meta = parse_meta(*meta_file, directory + '/' + meta_name(key));
  if (!meta.ok()) return {meta.take_error()};

  PayloadFacts facts{directory + '/' + payload_name(key), meta->payload_hash, meta->encoding,
                     meta->encoding == Encoding::kPlain ? payload_file->stamp.size : meta->bytes};
  const core::FileStamp payload_stamp = payload_file->stamp;
  const core::FileStamp meta_stamp = meta_file->stamp;
  const bool provable = settled(payload_stamp, now_ns) && settled(meta_stamp, now_ns) &&
                        core::stamps_betray_changes(payload_file->fd.get(), true);
  core::Result<std::shared_ptr<Payload>> payload = load(std::move(*payload_file), std::move(facts));
  if (!payload.ok()) {
    const bool damaged = payload.error().status == core::Status::kIntegrity;
    const FileStore::Impl::Stamps now = store.stamps(key);
    const bool same = now.payload == payload_stamp && now.meta == meta_stamp;
    const std::int64_t age_ns =
        core::file_clock_ns() - std::max(payload_stamp.ctime_ns, meta_stamp.ctime_ns);
    return {payload.take_error(), damaged && !same, damaged && same && age_ns < kRecent};
  }
  Stored stored{std::make_shared<const Meta>(std::move(*meta)), std::move(*payload)};
  if (provable && stored.payload->size() <= HotPayloads::kLargest) {
    store.hot.keep(key, {payload_stamp, meta_stamp, epoch, stored});
  }
  return {std::move(stored)};
}

}  // namespace

core::Result<Stored> FileStore::Impl::lookup(const Key& key) {
  if (const std::shared_ptr<const HotPayload> kept = hot.find(key)) {
    const Stamps now = stamps(key);
    if (now.payload == kept->payload_stamp && now.meta == kept->meta_stamp &&
        kept->epoch.same_as(core::clock_epoch())) {
      return kept->stored;
    }
    hot.drop(key);
  }
  std::size_t pauses = 0;
  for (int i = 0; i < kLooks; ++i) {
    Look look = look_at(*this, key);
    if (!look.torn && (!look.recent || pauses == kPauses.size())) return std::move(look.result);
    if (look.recent) std::this_thread::sleep_for(kPauses.at(pauses++));
  }
  // Written again and again. With the key held nobody of ours does.
  const core::Result<KeyLocks::Held> lock = locks.hold(key);
  if (Look look = look_at(*this, key); !look.torn) return std::move(look.result);
  // The reference does, or it could not be held. What is never seen whole is not there.
  return Stored{};
}

core::Result<std::optional<FileStore::StampedMeta>> FileStore::Impl::read_meta_file(
    const Key& key) {
  const std::string directory = shard_path(key);
  core::Result<core::UniqueFd> shard =
      open_below(options.root, shard_name(shard_of(key)), Missing::kLeave);
  if (!shard.ok()) return shard.take_error();
  if (!shard->valid()) return std::optional<StampedMeta>();
  core::Result<OpenedFile> file = open_file(shard->get(), meta_name(key), directory);
  if (!file.ok()) return file.take_error();
  if (!file->fd.valid()) return std::optional<StampedMeta>();
  core::Result<Meta> meta = parse_meta(*file, directory + '/' + meta_name(key));
  if (!meta.ok()) return meta.take_error();
  return std::optional<StampedMeta>({std::move(*meta), file->stamp});
}

std::string FileStore::Impl::shard_path(const Key& key) const {
  return options.root + '/' + shard_name(shard_of(key));
}

FileStore::Impl::Stamps FileStore::Impl::stamps(const Key& key) const {
  const std::string hex = key.hex();
  std::string path;
  path.reserve(options.root.size() + hex.size() + 16);
  path.append(options.root).append("/").append(hex, 0, 2).append("/").append(hex);
  const std::size_t stem = path.size();
  Stamps now;
  now.payload = core::stamp_of_itself(AT_FDCWD, path.append(kPayloadSuffix).c_str());
  path.resize(stem);
  now.meta = core::stamp_of_itself(AT_FDCWD, path.append(kMetaSuffix).c_str());
  return now;
}

}  // namespace satchel::tool_cache
