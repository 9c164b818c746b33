// What the tests of remembered fingerprints share: a directory, and how to see whether an answer
// took a hash.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "core/blake3.hpp"
#include "core/file.hpp"
#include "scratch_files.hpp"
#include "surroundings.hpp"
#include "tool_cache/fingerprints.hpp"
#include "tool_cache/writers.hpp"

namespace satchel::tool_cache {

inline std::string hash_of(std::string_view content) {
  const core::Hash256 hash = core::blake3(content);
  return core::hex(hash.data(), hash.size());
}

inline void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

// So long ago that a file changed then is settled.
inline void let_settle() { sleep_ms(40); }

// Writes into the file as it stands.
inline void overwrite(const std::string& path, std::string_view content) {
  const core::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(::pwrite(fd.get(), content.data(), content.size(), 0),
            static_cast<ssize_t>(content.size()));
}

inline void set_mtime_back(const std::string& path, const core::FileStamp& to) {
  const struct timespec time {
    to.mtime_ns / core::kNanosPerSecond, to.mtime_ns % core::kNanosPerSecond
  };
  const struct timespec times[2] = {time, time};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

class ShelfInMemory final : public FingerprintShelf {
 public:
  std::optional<RememberedFingerprint> find(const std::string& path, Form form) override {
    ++finds;
    const auto found = kept.find({path, form});
    return found == kept.end() ? std::nullopt : std::optional(found->second);
  }
  void keep(std::span<const RememberedFingerprint> remembered) override {
    for (const RememberedFingerprint& one : remembered) kept[{one.path, one.form}] = one;
  }

  std::map<std::pair<std::string, Form>, RememberedFingerprint> kept;
  int finds = 0;
};

class FingerprintsTest : public testing::Test {
 protected:
  std::unique_ptr<Fingerprints> make(Fingerprints::Options options = {},
                                     FingerprintShelf* shelf = nullptr) {
    return std::make_unique<Fingerprints>(options, shelf, core::system_clock(), log_);
  }

  // The answer, and whether it took a hash.
  static std::string ask(Fingerprints& of, const std::string& path, Form form = Form::kContent) {
    const core::Result<std::string> now = of.current(path, form);
    return now ? *now : "error: " + now.error().message;
  }
  static bool asked_without_hashing(Fingerprints& of, const std::string& path,
                                    Form form = Form::kContent) {
    const FingerprintCounts before = of.counts();
    ask(of, path, form);
    const FingerprintCounts after = of.counts();
    EXPECT_EQ(after.remembered + after.hashed, before.remembered + before.hashed + 1);
    return after.hashed == before.hashed;
  }
  // Makes it known, which takes a moment for a file that was just written.
  void make_known(const std::string& path, Form form = Form::kContent) {
    ask(*fingerprints_, path, form);
    let_settle();
    EXPECT_EQ(fingerprints_->settle_pending(), 0U);
    ASSERT_TRUE(asked_without_hashing(*fingerprints_, path, form));
  }
  // Whether fingerprints of files can be remembered in the directory; else the tests of that are
  // about nothing.
  bool can_remember() const {
    const core::UniqueFd fd(::open(directory_.write("probe", "x").c_str(), O_RDONLY | O_CLOEXEC));
    return core::stamps_betray_changes(fd.get(), true) && !on_overlay(fd.get()) &&
           writers_of(fd.get(), true) == Writers::kNone;
  }

  ScratchFiles directory_;
  core::CapturedLog log_;
  std::unique_ptr<Fingerprints> fingerprints_ = make();
};

#define SKIP_WHERE_NOTHING_IS_REMEMBERED() \
  if (!can_remember()) GTEST_SKIP() << "nothing is remembered on the filesystem of /tmp"

}  // namespace satchel::tool_cache
