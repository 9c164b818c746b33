#include "tool_cache/root_paths.hpp"

#include <fcntl.h>
#include <limits.h>  // NOLINT(modernize-deprecated-headers): PATH_MAX is POSIX
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): realpath is POSIX
#include <sys/stat.h>

#include <cerrno>
#include <memory>

namespace satchel::tool_cache {
namespace {

// The path has no directory, and the system is sure of it.
bool means_none(int os_errno) {
  return os_errno == ENOENT || os_errno == ENOTDIR || os_errno == EACCES || os_errno == ELOOP ||
         os_errno == ENAMETOOLONG;
}

}  // namespace

std::string join_path(std::string_view base, std::string_view path) {
  if (!path.empty() && path.front() == '/') return std::string(path);
  std::string joined(base);
  if (!joined.empty() && joined.back() != '/') joined += '/';
  joined += path;
  return joined;
}

std::optional<std::string> canonical_path(const std::string& path) {
  if (path.find('\0') != std::string::npos) return std::nullopt;
  struct Free {
    void operator()(char* text) const { ::free(text); }
  };
  const std::unique_ptr<char, Free> resolved(::realpath(path.c_str(), nullptr));
  if (resolved == nullptr) return std::nullopt;
  return std::string(resolved.get());
}

std::optional<SplitPath> split_path(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos || path.size() >= PATH_MAX) return std::nullopt;
  if (path.find('\0') != std::string::npos) return std::nullopt;
  std::string name = path.substr(slash + 1);
  if (name.empty() || name == "." || name == "..") return std::nullopt;
  return SplitPath{slash == 0 ? "/" : path.substr(0, slash), std::move(name)};
}

// The descriptor, its stamp and the names come from one directory, whatever becomes of the path
// meanwhile. The canonical path is the path's, looked at a moment later: where it belongs to
// another directory, the two will never be found together again, and are looked at anew.
DirectoryView::DirectoryView(const std::string& path) {
  const std::int64_t now = core::file_clock_ns();
  core::UniqueFd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) {
    reliable_ = means_none(errno);
    return;
  }
  const std::optional<core::FileStamp> stamp = core::stamp_of(fd.get());
  canonical_ = canonical_path(path);
  if (!stamp || !canonical_) {
    canonical_.reset();
    reliable_ = false;
    return;
  }
  stamp_ = *stamp;
  settled_ = core::settled(stamp_, now) && core::stamps_betray_changes(fd.get(), false);
  fd_ = std::move(fd);
}

LastComponent DirectoryView::look(const std::string& name) const {
  if (!reliable_) return LastComponent::kLink;
  if (!canonical_) return LastComponent::kMissing;
  if (canonical_->size() + 1 + name.size() >= PATH_MAX) return LastComponent::kLink;
  struct stat status {};
  if (::fstatat(fd_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return means_none(errno) ? LastComponent::kMissing : LastComponent::kLink;
  }
  return S_ISLNK(status.st_mode) ? LastComponent::kLink : LastComponent::kPlain;
}

std::string DirectoryView::canonical_of(const std::string& name) const {
  return join_path(*canonical_, name);
}

bool same_directory(const std::string& path, const std::optional<std::string>& canonical,
                    const core::FileStamp& stamp, bool settled) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return !canonical && means_none(errno);
  if (!S_ISDIR(status.st_mode)) return !canonical;
  return canonical && settled && core::stamp_of(status) == stamp &&
         canonical_path(path) == canonical;
}

}  // namespace satchel::tool_cache
