// Fingerprints that are not computed again: the hash of a root, remembered with what one stat said
// of the file or directory, so that asking again costs one stat. Why no answer can be out of date
// is argued in fingerprint_proof.hpp. Not remembered, and so hashed each time: files on tmpfs, FUSE
// and network filesystems, files that somebody has open for writing, and files of other users
// unless the process has CAP_LEASE.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/file_stamp.hpp"
#include "core/log.hpp"
#include "core/result.hpp"
#include "tool_cache/fingerprint.hpp"

namespace satchel::tool_cache {

struct RememberedFingerprint {
  std::string path;  // absolute, as stat was asked
  Form form = Form::kContent;
  core::FileStamp stamp;
  core::ClockEpoch epoch;
  std::string fingerprint;
};

// Where they are kept between processes: the index. Any thread. A loss costs a rehash.
class FingerprintShelf {
 public:
  FingerprintShelf() = default;
  FingerprintShelf(const FingerprintShelf&) = delete;
  FingerprintShelf& operator=(const FingerprintShelf&) = delete;
  virtual ~FingerprintShelf() = default;

  virtual std::optional<RememberedFingerprint> find(const std::string& path, Form form) = 0;
  virtual void keep(std::span<const RememberedFingerprint> remembered) = 0;
};

// A root with its path made absolute.
struct ResolvedRoot {
  std::string path;
  std::string_view expected_hash;
};

struct FingerprintCounts {
  std::uint64_t remembered = 0;  // answered by one stat
  std::uint64_t hashed = 0;
  std::uint64_t bytes_hashed = 0;
};

// Any thread.
class Fingerprints {
 public:
  struct Options {
    bool strict = false;  // never believe a stamp
    std::size_t max_remembered = 65536;
    std::int64_t threads = 4;  // that hash the roots of one call, the caller's among them
  };
  // `shelf` may be null and must outlive this.
  Fingerprints(Options options, FingerprintShelf* shelf, core::Clock& clock, core::Log& log);
  Fingerprints(const Fingerprints&) = delete;
  Fingerprints& operator=(const Fingerprints&) = delete;
  ~Fingerprints();

  // The fingerprint that the file or directory has now.
  core::Result<std::string> current(const std::string& path, Form form);

  // The first root whose fingerprint is not the expected one now, missing and unreadable ones
  // included; nothing if all are fresh.
  std::optional<std::size_t> first_stale(std::span<const ResolvedRoot> roots);

  // What was hashed and could not be remembered at once - changed a moment ago, open for writing -
  // is looked at again here, for some seconds, and what was remembered is put on the shelf: by the
  // thread that maintains the cache, as it may wait for the disk. Returns how many still wait.
  std::size_t settle_pending();

  [[nodiscard]] FingerprintCounts counts() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace satchel::tool_cache
