#include "engine/model/weight_files.h"

#include <algorithm>
#include <utility>

#include "engine/model/tensor_names.h"

namespace intactkv {

int64_t WeightTensor::rows() const {
  int64_t product = 1;
  for (size_t i = 1; i < shape.size(); ++i) product *= shape[i];
  return product;
}

std::string ShapeString(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) out += ", ";
    out += std::to_string(shape[i]);
  }
  return out + "]";
}

const WeightTensor* WeightFiles::FindTensor(std::string_view name) const {
  const auto it = tensor_index_.find(name);
  return it == tensor_index_.end() ? nullptr : &tensors_[it->second];
}

bool WeightFiles::AddTensor(WeightTensor tensor) {
  if (!tensor_index_.emplace(tensor.name, tensors_.size()).second) return false;
  tensors_.push_back(std::move(tensor));
  return true;
}

std::string WeightFiles::FileName(std::string_view name) const {
  return naming_ == TensorNaming::kGguf ? std::string(name) : ToHuggingFaceName(name);
}

std::string WeightFiles::Where(std::string_view name) const {
  return path_ + ": tensor '" + FileName(name) + "'";
}

std::string WeightFiles::DescribeShape(std::vector<int64_t> shape) const {
  if (naming_ == TensorNaming::kHuggingFace) std::reverse(shape.begin(), shape.end());
  return ShapeString(shape);
}

HostTensor WeightFiles::ToHostTensor(const WeightTensor& tensor) const {
  return {FileName(tensor.name), tensor.type, tensor.rows(), tensor.cols(), tensor.data.data()};
}

}  // namespace intactkv
