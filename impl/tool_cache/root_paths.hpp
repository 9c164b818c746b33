// Paths of roots: joined with the workspace as Rust's Path::join does, made canonical as its
// fs::canonicalize does (realpath of the system), and looked at by directory, so that many files
// in one directory need not be resolved one by one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/file.hpp"
#include "core/file_stamp.hpp"

namespace satchel::tool_cache {

// An absolute `path` replaces the base; else base + "/" + path, nothing normalised.
std::string join_path(std::string_view base, std::string_view path);

// Nothing where it cannot be resolved: missing, a loop, no permission, a zero byte in it, too long.
std::optional<std::string> canonical_path(const std::string& path);

// A path as "the last component in a directory".
struct SplitPath {
  std::string directory;
  std::string name;
};
// Nothing for paths whose last component is no plain name - "", ".", ".." - and for those that
// only canonical_path() can judge: of extreme length, or with a zero byte.
std::optional<SplitPath> split_path(const std::string& path);

// What stands at a name in a directory.
enum class LastComponent : std::uint8_t {
  kMissing,  // or out of reach: the path has no canonical form
  kPlain,    // the canonical form is that of the directory, and the name
  kLink,     // or anything else that only canonical_path() can judge
};

// A directory as it is at one moment: which one the path leads to, and what it holds.
class DirectoryView {
 public:
  explicit DirectoryView(const std::string& path);

  // False where the system could not say for want of descriptors or memory: then nothing here is
  // to be remembered, and look() knows nothing but kLink.
  [[nodiscard]] bool reliable() const { return reliable_; }
  // Nothing where the path leads to no directory: then every name is missing.
  [[nodiscard]] const std::optional<std::string>& canonical() const { return canonical_; }
  [[nodiscard]] const core::FileStamp& stamp() const { return stamp_; }
  // Whether a later change of its names is sure to change the stamp.
  [[nodiscard]] bool settled() const { return settled_; }

  [[nodiscard]] LastComponent look(const std::string& name) const;
  // The canonical form of a kPlain name.
  [[nodiscard]] std::string canonical_of(const std::string& name) const;

 private:
  core::UniqueFd fd_;
  std::optional<std::string> canonical_;
  core::FileStamp stamp_;
  bool settled_ = false;
  bool reliable_ = true;
};

// Whether a directory that was remembered is as it was: the same canonical path (or none), and,
// where it was settled, the same stamp. Cheaper than a view.
bool same_directory(const std::string& path, const std::optional<std::string>& canonical,
                    const core::FileStamp& stamp, bool settled);

}  // namespace satchel::tool_cache
