#include "cascade/transcript_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <set>
#include <system_error>
#include <utility>

#include "core/file_stamp.hpp"

namespace satchel::cascade {
namespace {

constexpr std::uint32_t kMaxLevels = 64;
// More than any file system rounds its times to: reading a file again costs little, beside sums
// that are wrong.
constexpr std::int64_t kPatience = 2'100'000'000;

std::string root_of(const TranscriptSettings& settings, std::size_t i) {
  return settings.config_dirs[i] + "/projects";
}

std::string root_prefix(std::size_t i) {
  return {static_cast<char>(i >> 8 & 0xffU), static_cast<char>(i & 0xffU)};
}

// As Rust's Path::extension has it: ".jsonl" alone is a name without one.
bool is_transcript_name(std::string_view name) {
  return name.size() > std::string_view(".jsonl").size() && name.ends_with(".jsonl");
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

class Lister {
 public:
  Lister(const TranscriptSettings& settings, TranscriptComplaints& complaints)
      : settings_(settings),
        complaints_(complaints),
        user_(::geteuid()),
        settled_before_(core::file_clock_ns() - kPatience) {}

  TranscriptListing list() {
    for (std::size_t i = 0; i < settings_.config_dirs.size(); ++i) {
      root_ = root_of(settings_, i);
      prefix_ = root_prefix(i);
      struct stat status {};
      if (::stat(root_.c_str(), &status) != 0) continue;
      listing_.any_root = true;
      directory({}, 0);
    }
    std::sort(listing_.files.begin(), listing_.files.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    return std::move(listing_);
  }

 private:
  [[nodiscard]] bool files_count(std::uint32_t level) const {
    return settings_.depth == 0 || level > 0;
  }
  [[nodiscard]] bool goes_below(std::uint32_t level) const {
    return level < (settings_.depth == 0 ? kMaxLevels : std::min(settings_.depth, kMaxLevels));
  }

  std::string path_of(const std::string& below) const {
    return below.empty() ? root_ : root_ + '/' + below;
  }

  void unreadable(const std::string& below, int os_errno) {
    // Gone since it was listed.
    if (os_errno == ENOENT) return;
    if (below.empty()) listing_.unreadable_root = true;
    complaints_.say("cannot list " + path_of(below) + ": " +
                    std::generic_category().message(os_errno) + "; skipped");
  }

  // Links may lead back up. The reference reads one level, under each of its names; deeper down a
  // directory is read once, under its first name.
  bool seen_before(int fd) {
    if (settings_.depth == 1) return false;
    struct stat status {};
    return ::fstat(fd, &status) != 0 || !seen_.emplace(status.st_dev, status.st_ino).second;
  }

  void directory(const std::string& below, std::uint32_t level) {
    std::vector<std::string> subdirectories;
    {
      const int fd = ::open(path_of(below).c_str(),
                            O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
      if (fd < 0) return unreadable(below, errno);
      const std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(fd));
      if (stream == nullptr) {
        const int os_errno = errno;
        ::close(fd);
        return unreadable(below, os_errno);
      }
      if (seen_before(fd)) return;
      for (;;) {
        errno = 0;
        const dirent* const found = ::readdir(stream.get());
        if (found == nullptr) break;
        consider(fd, *found, below, level, subdirectories);
      }
      if (errno != 0) unreadable(below, errno);
    }
    std::sort(subdirectories.begin(), subdirectories.end());
    for (const std::string& name : subdirectories) {
      std::string path = below;
      if (!path.empty()) path += '/';
      directory(path.append(name), level + 1);
    }
  }

  void consider(int fd, const dirent& found, const std::string& below, std::uint32_t level,
                std::vector<std::string>& subdirectories) {
    const std::string_view name = found.d_name;
    if (name == "." || name == "..") return;
    const bool transcript = files_count(level) && is_transcript_name(name);
    const bool known_directory = found.d_type == DT_DIR;
    const bool may_be_directory =
        known_directory || found.d_type == DT_LNK || found.d_type == DT_UNKNOWN;
    if (known_directory && goes_below(level)) {
      subdirectories.emplace_back(name);
      return;
    }
    if (!transcript && !(may_be_directory && goes_below(level))) return;
    struct stat status {};
    if (::fstatat(fd, found.d_name, &status, 0) != 0) {
      // A link to nowhere, or gone meanwhile.
      const int os_errno = errno;
      if (transcript && os_errno != ENOENT) {
        std::string path = path_of(below);
        path.append(1, '/').append(name);
        complaints_.say("cannot look at " + path + ": " +
                        std::generic_category().message(os_errno) + "; skipped");
      }
      return;
    }
    if (S_ISDIR(status.st_mode)) {
      if (goes_below(level)) subdirectories.emplace_back(name);
    } else if (S_ISREG(status.st_mode) && transcript) {
      file(status, below.empty() ? std::string(name) : below + '/' + std::string(name));
    }
  }

  void file(const struct stat& status, const std::string& below) {
    if (status.st_uid != user_ && !settings_.any_owner) {
      complaints_.say(path_of(below) + " belongs to user " + std::to_string(status.st_uid) +
                      ", not to user " + std::to_string(user_) + "; skipped");
      return;
    }
    ListedTranscript& listed = listing_.files.emplace_back();
    listed.name = prefix_ + below;
    const core::FileStamp stamp = core::stamp_of(status);
    listed.stamp = {stamp.device, stamp.inode, stamp.size, stamp.mtime_ns, stamp.ctime_ns};
    listed.settled = core::settled(stamp, settled_before_);
  }

  const TranscriptSettings& settings_;
  TranscriptComplaints& complaints_;
  const uid_t user_;
  const std::int64_t settled_before_;
  std::string root_;
  std::string prefix_;
  std::set<std::pair<dev_t, ino_t>> seen_;
  TranscriptListing listing_;
};

}  // namespace

void TranscriptComplaints::say(const std::string& message) {
  if (said_.size() >= kMost || !said_.insert(message).second) return;
  log_.write(core::LogLevel::kWarn, "cascade.transcripts", message);
}

TranscriptListing list_transcripts(const TranscriptSettings& settings,
                                   TranscriptComplaints& complaints) {
  return Lister(settings, complaints).list();
}

std::string transcript_path(const TranscriptSettings& settings, std::string_view name) {
  const std::size_t root =
      std::size_t{static_cast<unsigned char>(name[0])} << 8 | static_cast<unsigned char>(name[1]);
  return root_of(settings, root) + '/' + std::string(name.substr(2));
}

}  // namespace satchel::cascade
