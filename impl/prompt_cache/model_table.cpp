#include "prompt_cache/model_table.hpp"

#include <utility>

namespace satchel::prompt_cache {
namespace {

class TableModels final : public Models {
 public:
  explicit TableModels(ModelTable table) : table_(std::move(table)) {}

  core::Result<ModelConfig> resolve(std::string_view model) override {
    auto found = table_.find(model);
    if (found == table_.end()) found = table_.find("*");
    return found == table_.end() ? ModelConfig{} : found->second;
  }

 private:
  const ModelTable table_;
};

}  // namespace

std::unique_ptr<Models> make_model_table(ModelTable table) {
  return std::make_unique<TableModels>(std::move(table));
}

}  // namespace satchel::prompt_cache
