// The conformance suite over an index that the host brings by callbacks.
#include "host_index.hpp"

#include <memory>

#include "../impl/index_conformance.hpp"
#include "memory_index.h"
#include "prompt_cache/queued_index.hpp"

namespace satchel::prompt_cache {
namespace {

class HostIndexMaker {
 public:
  HostIndexMaker() { memory_index_begin(&memory_); }
  HostIndexMaker(const HostIndexMaker&) = delete;
  HostIndexMaker& operator=(const HostIndexMaker&) = delete;
  ~HostIndexMaker() { memory_index_end(&memory_); }

  std::shared_ptr<Index> make(core::Clock& clock, core::Log& log) {
    auto table = std::make_shared<abi::HostTable<satchel_index>>(memory_index_table(&memory_));
    return make_queued_index(abi::make_host_index(std::move(table)), {}, clock, log);
  }

 private:
  struct memory_index memory_ {};
};
INSTANTIATE_TYPED_TEST_SUITE_P(HostIndex, IndexConformance, HostIndexMaker);

}  // namespace
}  // namespace satchel::prompt_cache
