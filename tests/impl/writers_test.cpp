#include "tool_cache/writers.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include "core/clock.hpp"
#include "core/file.hpp"
#include "fingerprints_fixture.hpp"
#include "tool_cache/fingerprints.hpp"

namespace satchel::tool_cache {
namespace {

core::UniqueFd open_file(const std::string& path, int flags) {
  return core::UniqueFd(::open(path.c_str(), flags | O_CLOEXEC));
}

class WritersTest : public testing::Test {
 protected:
  void SetUp() override {
    if (on_overlay(reader_.get()) || writers_of(reader_.get(), true) == Writers::kUnknown) {
      GTEST_SKIP() << "the filesystem of /tmp does not tell";
    }
  }

  ScratchFiles directory_;
  std::string path_ = directory_.write("a", std::string(4096, 'a'));
  core::UniqueFd reader_ = open_file(path_, O_RDONLY);
};

TEST_F(WritersTest, ThereAreNoneOfAFileThatIsOnlyRead) {
  const core::UniqueFd another = open_file(path_, O_RDONLY);
  EXPECT_EQ(writers_of(reader_.get(), false), Writers::kNone);
  EXPECT_EQ(writers_of(reader_.get(), false), Writers::kNone);  // it lets go of the file
}

TEST_F(WritersTest, WhoHasItOpenIsOne) {
  core::UniqueFd writer = open_file(path_, O_WRONLY);
  EXPECT_EQ(writers_of(reader_.get(), false), Writers::kSome);
  writer.reset();
  EXPECT_EQ(writers_of(reader_.get(), false), Writers::kNone);
}

TEST_F(WritersTest, WhoHasItMappedIsOne) {
  core::UniqueFd writer = open_file(path_, O_RDWR);
  void* const mapped = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, writer.get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  writer.reset();
  EXPECT_EQ(writers_of(reader_.get(), false), Writers::kSome);
  ::munmap(mapped, 4096);
  EXPECT_EQ(writers_of(reader_.get(), false), Writers::kNone);
}

TEST_F(WritersTest, WhoeverComesToWriteMeanwhileIsNotDisturbed) {
  std::atomic<bool> stop{false};
  std::thread asking([&] {
    const core::UniqueFd reader = open_file(path_, O_RDONLY);
    while (!stop) writers_of(reader.get(), false);
  });
  for (int i = 0; i < 5000; ++i) {
    const core::UniqueFd writer = open_file(path_, O_WRONLY);
    ASSERT_TRUE(writer.valid()) << errno;
    ASSERT_EQ(::write(writer.get(), "b", 1), 1);
  }
  stop = true;
  asking.join();
}

// Memory whose second page is not there until it is given.
class StalledMemory {
 public:
  StalledMemory() {
    page_ = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    fd_ = core::UniqueFd(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC)));
    if (!fd_.valid()) return;
    struct uffdio_api api {};
    api.api = UFFD_API;
    memory_ = static_cast<char*>(
        ::mmap(nullptr, 2 * page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    struct uffdio_register range {};
    range.range = {reinterpret_cast<std::uintptr_t>(memory_) + page_, page_};
    range.mode = UFFDIO_REGISTER_MODE_MISSING;
    stalls_ = ::ioctl(fd_.get(), UFFDIO_API, &api) == 0 &&
              ::ioctl(fd_.get(), UFFDIO_REGISTER, &range) == 0;
    std::fill_n(memory_, page_, 'b');
  }
  StalledMemory(const StalledMemory&) = delete;
  StalledMemory& operator=(const StalledMemory&) = delete;
  ~StalledMemory() {
    if (memory_ != nullptr) ::munmap(memory_, 2 * page_);
  }

  [[nodiscard]] bool stalls() const { return stalls_; }
  [[nodiscard]] std::size_t page() const { return page_; }
  [[nodiscard]] const char* data() const { return memory_; }

  // Somebody waits for the page.
  void await_reader() const {
    struct uffd_msg message {};
    EXPECT_EQ(::read(fd_.get(), &message, sizeof message), static_cast<ssize_t>(sizeof message));
  }
  void give() const {
    const std::string content(page_, 'b');
    struct uffdio_copy copy {};
    copy.dst = reinterpret_cast<std::uintptr_t>(memory_) + page_;
    copy.src = reinterpret_cast<std::uintptr_t>(content.data());
    copy.len = page_;
    EXPECT_EQ(::ioctl(fd_.get(), UFFDIO_COPY, &copy), 0);
  }

 private:
  core::UniqueFd fd_;
  std::size_t page_ = 0;
  char* memory_ = nullptr;
  bool stalls_ = false;
};

// A write is stamped when it begins. One that then waits for its own bytes changes the file later,
// without another stamp.
TEST_F(WritersTest, AWriteThatIsStillUnderWayIsNotMissed) {
  const StalledMemory bytes;
  if (!bytes.stalls()) GTEST_SKIP() << "no userfaultfd";
  const std::size_t length = 2 * bytes.page();
  directory_.write("a", std::string(length, 'a'));
  core::CapturedLog log;
  Fingerprints fingerprints({}, nullptr, core::system_clock(), log);
  std::thread writer([&] {
    const core::UniqueFd fd = open_file(path_, O_WRONLY);
    EXPECT_EQ(::pwrite(fd.get(), bytes.data(), length, 0), static_cast<ssize_t>(length));
  });
  bytes.await_reader();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const std::optional<core::FileStamp> during = core::stamp_of(path_);
  EXPECT_TRUE(settled(*during, core::file_clock_ns()));
  EXPECT_NE(*fingerprints.current(path_, Form::kContent), hash_of(std::string(length, 'b')));
  EXPECT_EQ(fingerprints.settle_pending(), 1U);
  bytes.give();
  writer.join();
  EXPECT_EQ(*fingerprints.current(path_, Form::kContent), hash_of(std::string(length, 'b')));
}

}  // namespace
}  // namespace satchel::tool_cache
