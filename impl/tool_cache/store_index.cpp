#include "tool_cache/store_index.hpp"

#include <utility>

#include "tool_cache/file_store.hpp"
#include "tool_cache/index_over_source.hpp"
#include "tool_cache/index_source.hpp"

namespace satchel::tool_cache {

std::unique_ptr<StoreIndex> StoreIndex::over_files(FileStore& store, Options options,
                                                   OnLost on_lost, core::Clock& clock,
                                                   core::Log& log) {
  std::unique_ptr<IndexSource> source = file_source(store);
  IndexSlot::Place place{store.root() + "/.satchel/index", "", source->identity()};
  if (options.in_memory) place = {"", "the configuration says so", source->identity()};
  return std::make_unique<IndexOverSource>(std::move(source), std::move(place),
                                           std::move(options.workspace), std::move(on_lost), clock,
                                           log);
}

std::unique_ptr<StoreIndex> StoreIndex::over_store(Store& store, Options options, OnLost on_lost,
                                                   core::Clock& clock, core::Log& log) {
  std::unique_ptr<IndexSource> source = host_source(store, clock);
  IndexSlot::Place place{"", "the store is the host's", source->identity()};
  return std::make_unique<IndexOverSource>(std::move(source), std::move(place),
                                           std::move(options.workspace), std::move(on_lost), clock,
                                           log);
}

}  // namespace satchel::tool_cache
