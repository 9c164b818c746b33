#include "tool_cache/fingerprint.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/blake3.hpp"
#include "scratch_files.hpp"

namespace satchel::tool_cache {
namespace {

std::string hash_of(std::string_view content) {
  const core::Hash256 hash = core::blake3(content);
  return core::hex(hash.data(), hash.size());
}

int errno_of(const std::string& path, Form form) {
  const core::Result<std::string> done = fingerprint(path, form);
  if (done) return 0;
  EXPECT_EQ(done.error().status, core::Status::kIo);
  EXPECT_NE(done.error().message.find(path), std::string::npos) << done.error().message;
  return done.error().os_errno;
}

TEST(Fingerprint, OfContentIsBlake3WhateverTheLength) {
  const ScratchFiles directory;
  for (const std::size_t length :
       {0UL, 1UL, 4095UL, 4096UL, 4097UL, 262143UL, 262144UL, 262145UL, 3'000'001UL}) {
    std::string content(length, '\0');
    for (std::size_t i = 0; i < length; ++i) content[i] = static_cast<char>(i * 7 % 251);
    const std::string path = directory.write("file", content);
    const core::Result<std::string> done = fingerprint(path, Form::kContent);
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_EQ(*done, hash_of(content)) << length;
  }
}

// Values that the reference gave.
TEST(Fingerprint, OfADirectoryIsThatOfItsSortedNames) {
  struct Case {
    std::vector<std::string> names;
    const char* fingerprint;
  };
  const Case cases[] = {
      {{}, "dir:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
      {{"a"}, "dir:57feb47890e14caeeef4fed93f6b8fcea50f8fe0c00988ccf65465e9aa833347"},
      {{"b", "a"}, "dir:237238bc1341a057099f91fc90c2271e7e46c06f721604aac598b322cea79554"},
      {{"a", "ab", "b", "\u00dcn\u00ef", "zz.txt"},
       "dir:6a58325b66b348ede1e1656c7cf4d1202de26826b79f71102c2740177a88d6f0"},
  };
  for (const Case& c : cases) {
    const ScratchFiles directory;
    for (const std::string& name : c.names) directory.write(name, "whatever");
    const core::Result<std::string> done = fingerprint(directory.path(), Form::kDirectory);
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_EQ(*done, c.fingerprint);
  }
}

TEST(Fingerprint, NamesThatAreNotTextAreSortedAsBytes) {
  const ScratchFiles directory;
  const std::string high = "\xff\xfe";
  directory.write(high, "");
  directory.write("z", "");
  std::string framed;
  for (const std::string& name : {std::string("z"), high}) {
    framed += std::string(1, static_cast<char>(name.size())) + std::string(7, '\0') + name;
  }
  EXPECT_EQ(*fingerprint(directory.path(), Form::kDirectory), "dir:" + hash_of(framed));
}

TEST(Fingerprint, OfAnOpenDirectoryIsTheSameEachTime) {
  const ScratchFiles directory;
  directory.write("a", "");
  const core::UniqueFd fd(::open(directory.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::string first = *fingerprint_directory(fd.get());
  EXPECT_EQ(*fingerprint_directory(fd.get()), first);
  EXPECT_EQ(*fingerprint(directory.path(), Form::kDirectory), first);
}

TEST(Fingerprint, OfStatIsSizeAndTimeOfModification) {
  const ScratchFiles directory;
  const std::string path = directory.write("a", "hello");
  const struct Case {
    struct timespec time;
    const char* fingerprint;
  } cases[] = {
      {{1'700'000'000, 123'456'789}, "stat:5:1700000000:123456789"},
      {{0, 0}, "stat:5:0:0"},
      {{-5, 7}, "stat:5:-5:7"},  // before 1970
  };
  for (const Case& c : cases) {
    const struct timespec times[2] = {c.time, c.time};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    EXPECT_EQ(*fingerprint(path, Form::kStat), c.fingerprint);
  }
}

TEST(Fingerprint, FollowsLinks) {
  const ScratchFiles directory;
  directory.write("a", "hello");
  ASSERT_EQ(::symlink("a", directory.file("link").c_str()), 0);
  ASSERT_EQ(::symlink(".", directory.file("here").c_str()), 0);
  for (const Form form : {Form::kContent, Form::kStat}) {
    EXPECT_EQ(*fingerprint(directory.file("link"), form),
              *fingerprint(directory.file("here/a"), form));
  }
  EXPECT_EQ(*fingerprint(directory.file("here"), Form::kDirectory),
            *fingerprint(directory.path(), Form::kDirectory));
}

TEST(Fingerprint, WhatCannotBeFingerprintedSaysWhy) {
  const ScratchFiles directory;
  const std::string file = directory.write("a", "hello");
  ASSERT_EQ(::symlink("loop", directory.file("loop").c_str()), 0);
  for (const Form form : {Form::kContent, Form::kDirectory, Form::kStat}) {
    EXPECT_EQ(errno_of(directory.file("none"), form), ENOENT);
    EXPECT_EQ(errno_of(file + "/below", form), ENOTDIR);
    EXPECT_EQ(errno_of(directory.file("loop"), form), ELOOP);
  }
  EXPECT_EQ(errno_of(directory.path(), Form::kContent), EISDIR);
  EXPECT_EQ(errno_of(file, Form::kDirectory), ENOTDIR);
}

TEST(Fingerprint, AFifoOrADeviceIsRefusedAtOnce) {
  const ScratchFiles directory;
  ASSERT_EQ(::mkfifo(directory.file("fifo").c_str(), 0600), 0);
  EXPECT_EQ(errno_of(directory.file("fifo"), Form::kContent), EINVAL);
  EXPECT_EQ(errno_of("/dev/zero", Form::kContent), EINVAL);
}

TEST(FormOf, IsToldByThePrefix) {
  EXPECT_EQ(form_of("stat:1:2:3"), Form::kStat);
  EXPECT_EQ(form_of("dir:00"), Form::kDirectory);
  EXPECT_EQ(form_of("17762f"), Form::kContent);
  EXPECT_EQ(form_of(""), Form::kContent);
  EXPECT_EQ(form_of("Dir:"), Form::kContent);
}

TEST(ContentCeiling, IsWhatTheEnvironmentSaysIfThatIsANumber) {
  constexpr std::uint64_t kDefault = 104'857'600;
  ::unsetenv("VERDANT_HASH_MAX_BYTES");
  EXPECT_EQ(content_ceiling(), kDefault);
  const struct {
    const char* text;
    std::uint64_t ceiling;
  } cases[] = {
      {"0", 0},
      {"5", 5},
      {"+5", 5},
      {"007", 7},
      {"", kDefault},
      {"+", kDefault},
      {"-1", kDefault},
      {" 5", kDefault},
      {"5 ", kDefault},
      {"5k", kDefault},
      {"++5", kDefault},
      {"18446744073709551615", UINT64_MAX},
      {"18446744073709551616", kDefault},
  };
  for (const auto& c : cases) {
    ::setenv("VERDANT_HASH_MAX_BYTES", c.text, 1);
    EXPECT_EQ(content_ceiling(), c.ceiling) << c.text;
  }
  ::unsetenv("VERDANT_HASH_MAX_BYTES");
}

}  // namespace
}  // namespace satchel::tool_cache
