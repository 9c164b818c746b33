// The built-in store as a source: what file_stamp.hpp says of directories and files.
#include <fcntl.h>

#include "core/file.hpp"
#include "tool_cache/index_source.hpp"

namespace satchel::tool_cache {
namespace {

class FileSource final : public IndexSource {
 public:
  explicit FileSource(FileStore& store) : store_(store) {}

  // Device and inode of the store's directory. A copy of a store with its index has others; and
  // where a copied index is put beside the right store, the stamps of its shards are those of the
  // directories that it saw, in the state that it saw them in: a stamp has the directory's inode
  // and change time, which nobody can set back. What was seen settled under such a stamp is what
  // stands there now; all else is looked at again.
  std::string identity() override {
    const std::optional<core::FileStamp> stamp = core::stamp_of(store_.root());
    if (!stamp) return store_.root();
    return std::to_string(stamp->device) + ':' + std::to_string(stamp->inode);
  }

  core::Result<void> look(bool /*everything*/) override {
    // Asked each time: something else may have been mounted there.
    const core::UniqueFd root(::open(store_.root().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    believable_ = root.valid() && core::stamps_betray_changes(root.get(), false);
    return {};
  }

  std::optional<core::FileStamp> shard_stamp(int shard) override {
    return store_.shard_stamp(shard);
  }

  core::Result<void> list_shard(int shard,
                                const std::function<void(const EntryFiles&)>& visit) override {
    return store_.list_shard(shard, visit);
  }

  core::Result<std::optional<StampedMeta>> read_meta(const Key& key) override {
    return store_.read_meta_file(key);
  }

  std::optional<core::FileStamp> meta_stamp(const Key& key) override {
    return store_.meta_stamp(key);
  }

  std::int64_t now_ns() override { return core::file_clock_ns(); }

  bool settled(const core::FileStamp& stamp, std::int64_t now_ns) override {
    return believable_ && core::settled(stamp, now_ns);
  }

 private:
  FileStore& store_;
  bool believable_ = false;
};

}  // namespace

std::unique_ptr<IndexSource> file_source(FileStore& store) {
  return std::make_unique<FileSource>(store);
}

}  // namespace satchel::tool_cache
