"""Operators that pass no gradient on: their derivative is zero wherever it exists, or their outputs are not numbers to differentiate."""

from onnxdl.autodiff.registry import no_gradient

no_gradient("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
no_gradient("And", "Or", "Xor", "Not", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", "BitShift", "BitCast")
no_gradient("IsNaN", "IsInf", "Shape", "Size", "NonZero", "ArgMax", "ArgMin", "NonMaxSuppression")
no_gradient("Sign", "Ceil", "Floor", "Round", "Hardmax")
no_gradient("Constant", "ConstantOfShape", "EyeLike", "BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix")
no_gradient("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial")
no_gradient("StringConcat", "StringNormalizer", "StringSplit", "RegexFullMatch", "TfIdfVectorizer", "ImageDecoder")
no_gradient("SequenceEmpty", "SequenceLength", "OptionalHasElement")
