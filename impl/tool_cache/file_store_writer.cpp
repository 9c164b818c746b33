// An entry on its way into the store.
//
// kill -9 at any instruction leaves every entry whole or absent. An entry is what lookup() finds:
// payload and meta together, the payload's hash being the meta's. The steps, each of which is one
// system call that happens or does not:
//   1. payload and meta are written under names that nobody looks for: no entry changes.
//   2. a meta that is there and speaks of another payload is unlinked: what was the entry is
//      absent, and so it was meant to be from now on.
//   3. the payload is renamed into place. Either no meta stands beside it: absent. Or one that
//      speaks of the very same bytes in the same encoding: the entry is whole before and after,
//      with the roots under which the same bytes were stored before.
//   4. the meta is renamed into place: whole.
// Steps 2 to 4 are taken under the lock of the key, which dies with its holder: between them nobody
// of ours writes or removes this entry. remove() unlinks the meta first: absent from then on.
// What lies around after a death - a payload without meta, a file of step 1 - is no entry, and the
// sweep takes it away.
//
// The reference takes no locks. Persisting one key at the same moment, its payload may come to lie
// under our meta, or ours under its: an integrity error until the key is stored again, as among
// several processes of the reference; never a wrong byte.
//
// A power failure is another matter: files are not flushed, and a cache need not survive it whole.
// What it leaves half-written does not match its hash.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <string>
#include <utility>

#include "core/blake3.hpp"
#include "tool_cache/file_store_impl.hpp"
#include "tool_cache/file_store_staging.hpp"
#include "tool_cache/payload_deflate.hpp"
#include "tool_cache/shard_files.hpp"

namespace satchel::tool_cache {
namespace {

constexpr std::size_t kBuffer = 64 << 10;

class EntryWriter final : public PayloadWriter {
 public:
  EntryWriter(FileStore::Impl& store, const Key& key) : store_(store), key_(key) {}

  core::Result<void> write(std::string_view bytes) override;
  core::Result<std::shared_ptr<const Meta>> commit(Meta meta) override;

 private:
  using Staged = std::unique_ptr<StagedFile>;

  core::Result<void> append(std::string_view bytes);
  core::Result<void> flush();
  core::Result<Staged> stage();
  core::Result<std::shared_ptr<const Meta>> finish(Meta meta);
  bool compress();
  core::Result<void> place(Staged payload, Staged meta_file, const Meta& meta);
  core::Result<void> rename_both(Staged& payload, Staged& meta_file, const Meta& meta,
                                 bool* elsewhere);
  core::Result<void> drop_other_meta(int shard, const Meta& meta);

  FileStore::Impl& store_;
  const Key key_;
  core::Blake3 hash_;
  std::uint64_t bytes_ = 0;
  std::string buffer_;  // the end of it, or all: small payloads become a file in commit()
  std::shared_ptr<const StagingPlace> place_;
  Staged payload_;
  std::optional<core::Error> failed_;
};

core::Result<void> EntryWriter::write(std::string_view bytes) {
  if (failed_) return *failed_;
  core::Result<void> done = append(bytes);
  if (!done.ok()) {
    failed_ = done.error();
    payload_ = nullptr;  // gives the disk its space back
  }
  return done;
}

core::Result<void> EntryWriter::append(std::string_view bytes) {
  hash_.update(bytes);
  bytes_ += bytes.size();
  if (buffer_.size() + bytes.size() <= kBuffer) {
    buffer_ += bytes;
    return {};
  }
  if (core::Result<void> flushed = flush(); !flushed.ok()) return flushed;
  if (bytes.size() > kBuffer) return payload_->write(bytes);
  buffer_ = bytes;
  return {};
}

core::Result<void> EntryWriter::flush() {
  if (payload_ == nullptr) {
    core::Result<Staged> staged = stage();
    if (!staged.ok()) return staged.take_error();
    payload_ = std::move(*staged);
  }
  core::Result<void> written = payload_->write(buffer_);
  buffer_.clear();
  return written;
}

core::Result<EntryWriter::Staged> EntryWriter::stage() {
  if (place_ == nullptr) {
    core::Result<core::UniqueFd> fd =
        open_below(store_.options.root, kStagingDirectory, Missing::kMake);
    if (!fd.ok()) return fd.take_error();
    place_ = std::make_shared<const StagingPlace>(
        StagingPlace{std::move(*fd), store_.options.root + '/' + std::string(kStagingDirectory)});
  }
  return StagedFile::make(place_);
}

core::Result<std::shared_ptr<const Meta>> EntryWriter::commit(Meta meta) {
  if (failed_) return *failed_;
  core::Result<std::shared_ptr<const Meta>> stored = finish(std::move(meta));
  failed_ = stored.ok() ? core::Error{core::Status::kState, "the payload was committed before"}
                        : stored.error();
  payload_ = nullptr;
  place_ = nullptr;
  return stored;
}

core::Result<std::shared_ptr<const Meta>> EntryWriter::finish(Meta meta) {
  const core::Hash256 digest = hash_.digest();
  meta.payload_hash = core::hex(digest.data(), digest.size());
  meta.bytes = bytes_;
  meta.encoding = Encoding::kPlain;
  if (core::Result<void> flushed = flush(); !flushed.ok()) return flushed.take_error();
  const std::uint64_t threshold = store_.options.compress_min_bytes;
  if (threshold > 0 && bytes_ >= threshold && compress()) meta.encoding = Encoding::kZlib;
  core::Result<Staged> meta_file = stage();
  if (!meta_file.ok()) return meta_file.take_error();
  if (core::Result<void> written = (*meta_file)->write(write_meta(meta)); !written.ok()) {
    return written.take_error();
  }
  core::Result<void> placed = place(std::move(payload_), std::move(*meta_file), meta);
  if (!placed.ok()) return placed.take_error();
  return std::make_shared<const Meta>(std::move(meta));
}

// Puts the compressed file in the plain one's stead. False, and nothing has changed, where it would
// not be shorter, or cannot be written: the plain one is there already.
bool EntryWriter::compress() {
  core::Result<Staged> compressed = stage();
  if (!compressed.ok()) return false;
  const auto read = [&](std::uint64_t offset, char* out, std::size_t capacity) {
    const std::ptrdiff_t n = core::read_at(payload_->fd(), offset, out, capacity);
    return n < 0 ? std::size_t{0} : static_cast<std::size_t>(n);
  };
  const auto write = [&](std::string_view bytes) { return (*compressed)->write(bytes).ok(); };
  if (!deflate_payload(bytes_, read, write)) return false;
  payload_ = std::move(*compressed);
  return true;
}

core::Result<void> EntryWriter::place(Staged payload, Staged meta_file, const Meta& meta) {
  bool elsewhere = false;
  core::Result<void> renamed = rename_both(payload, meta_file, meta, &elsewhere);
  if (!elsewhere) return renamed;
  // The shard is a filesystem of its own: what is renamed must be written there.
  core::Result<core::UniqueFd> fd =
      open_below(store_.options.root, shard_name(shard_of(key_)), Missing::kMake);
  if (!fd.ok()) return fd.take_error();
  const auto shard =
      std::make_shared<const StagingPlace>(StagingPlace{std::move(*fd), store_.shard_path(key_)});
  core::Result<Staged> payload_there = payload->copy_to(shard);
  if (!payload_there.ok()) return payload_there.take_error();
  core::Result<Staged> meta_there = meta_file->copy_to(shard);
  if (!meta_there.ok()) return meta_there.take_error();
  return rename_both(*payload_there, *meta_there, meta, &elsewhere);
}

// Steps 2 to 4 of above.
core::Result<void> EntryWriter::rename_both(Staged& payload, Staged& meta_file, const Meta& meta,
                                            bool* elsewhere) {
  core::Result<KeyLocks::Held> lock = store_.locks.hold(key_);
  if (!lock.ok()) return lock.take_error();
  core::Result<core::UniqueFd> shard =
      open_below(store_.options.root, shard_name(shard_of(key_)), Missing::kMake);
  if (!shard.ok()) return shard.take_error();
  const std::string name = payload_name(key_);
  // Known in time, where it can be: nothing is given up for a rename that cannot be.
  int problem = payload->may_rename_to(shard->get()) ? 0 : EXDEV;
  if (problem == 0) {
    if (core::Result<void> dropped = drop_other_meta(shard->get(), meta); !dropped.ok()) {
      return dropped;
    }
    problem = payload->rename_to(shard->get(), name);
  }
  *elsewhere = problem == EXDEV;
  if (problem != 0) {
    return disk_error("cannot rename a file to " + store_.shard_path(key_) + '/' + name, problem);
  }
  const std::string other = meta_name(key_);
  problem = meta_file->rename_to(shard->get(), other);
  if (problem == 0) return {};
  // Not to leave half of it, unless the other half is there from before.
  if (::faccessat(shard->get(), other.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
    ::unlinkat(shard->get(), name.c_str(), 0);
  }
  return disk_error("cannot rename a file to " + store_.shard_path(key_) + '/' + other, problem);
}

core::Result<void> EntryWriter::drop_other_meta(int shard, const Meta& meta) {
  core::Result<std::optional<FileStore::StampedMeta>> old = store_.read_meta_file(key_);
  const bool same = old.ok() && *old && (*old)->meta.payload_hash == meta.payload_hash &&
                    (*old)->meta.encoding == meta.encoding;
  if (same || (old.ok() && !*old)) return {};
  // Another's, unreadable, or something that a rename could not replace either.
  if (::unlinkat(shard, meta_name(key_).c_str(), 0) == 0 || errno == ENOENT) return {};
  return disk_error("cannot remove " + store_.shard_path(key_) + '/' + meta_name(key_), errno);
}

}  // namespace

core::Result<std::unique_ptr<PayloadWriter>> FileStore::Impl::begin(const Key& key) {
  return std::unique_ptr<PayloadWriter>(std::make_unique<EntryWriter>(*this, key));
}

core::Result<bool> FileStore::Impl::remove(const Key& key) {
  hot.drop(key);
  if (const Stamps now = stamps(key); !now.payload && !now.meta) return false;
  core::Result<KeyLocks::Held> lock = locks.hold(key);
  if (!lock.ok()) return lock.take_error();
  core::Result<core::UniqueFd> shard =
      open_below(options.root, shard_name(shard_of(key)), Missing::kLeave);
  if (!shard.ok()) return shard.take_error();
  bool removed = false;
  for (const std::string& name : {meta_name(key), payload_name(key)}) {
    if (!shard->valid()) break;
    if (::unlinkat(shard->get(), name.c_str(), 0) == 0) {
      removed = true;
    } else if (errno != ENOENT) {
      return disk_error("cannot remove " + shard_path(key) + '/' + name, errno);
    }
  }
  return removed;
}

}  // namespace satchel::tool_cache
