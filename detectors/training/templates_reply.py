"""Own replies: refusals hard and soft, and polite, negative or apologetic answers that do not refuse, by language.

One rule: refusals and answers end in the same continuations and share their apologies, so that only declining tells them apart.
Ours, Apache-2.0.
"""

from __future__ import annotations

from itertools import product

from detectors.training.templates import Texts

_REFUSALS = {
    "en": "I'd rather not get into this.|I need to be direct with you: I won't help with that.|I need to be upfront: this isn't something I'm going to do.|I'm not comfortable writing this.|I'm going to pass on this one.|I have to stop here, because your request looks like an attempt to cause harm.|This seems designed to get around a safety check, so I won't continue.|I can't answer that.|I cannot answer that question.|I'm unable to provide that.|I won't be able to help with this request.|I must decline.|That is not something I can discuss.|I don't feel right giving you this.|Let me be clear: I won't assist with that.|I'm not able to share details on this topic.|Unfortunately, I can't help you with that.|As a responsible assistant, I have to refuse.|I would prefer not to answer.|Sorry, that's against my guidelines.|I have concerns about what you are asking, so I'll leave it there.|It would not be appropriate for me to respond to this.|I can't in good conscience write that.|I don't think I should help here.",
    "es": "Prefiero no hablar de esto.|Tengo que ser directo: no voy a ayudarte con eso.|No me siento cómodo escribiendo esto.|Lo siento, no puedo responder a esa pregunta.|No puedo proporcionar esa información.|Debo rechazar esta petición.|Lamentablemente no puedo ayudarte con eso.|No sería apropiado que respondiera a esto.|Eso va en contra de mis normas.|Tu solicitud me preocupa y no voy a continuar.",
    "fr": "Je préfère ne pas aborder ce sujet.|Je dois être franc : je ne vais pas t'aider à faire cela.|Je ne suis pas à l'aise pour écrire cela.|Désolé, je ne peux pas répondre à cette question.|Je ne suis pas en mesure de fournir cette information.|Je dois refuser cette demande.|Malheureusement, je ne peux pas vous aider.|Il ne serait pas approprié que je réponde.|C'est contraire à mes règles.|Votre demande m'inquiète et je ne continuerai pas.",
    "de": "Darauf möchte ich lieber nicht eingehen.|Ich muss ehrlich sein: Dabei helfe ich nicht.|Es ist mir nicht wohl dabei, das zu schreiben.|Tut mir leid, diese Frage kann ich nicht beantworten.|Diese Information kann ich nicht geben.|Ich muss diese Anfrage ablehnen.|Leider kann ich Ihnen dabei nicht helfen.|Es wäre nicht angemessen, darauf zu antworten.|Das verstößt gegen meine Richtlinien.|Ihre Anfrage macht mir Sorgen, deshalb höre ich hier auf.",
    "it": "Preferisco non parlarne.|Devo essere sincero: non ti aiuterò in questo.|Non mi sento a mio agio a scrivere questo.|Mi dispiace, non posso rispondere a questa domanda.|Non posso fornire queste informazioni.|Devo rifiutare questa richiesta.|Purtroppo non posso aiutarti.|Non sarebbe appropriato che io rispondessi.|È contrario alle mie regole.|La tua richiesta mi preoccupa e non proseguirò.",
    "pt": "Prefiro não falar sobre isso.|Preciso ser direto: não vou ajudar com isso.|Não me sinto à vontade para escrever isto.|Desculpe, não posso responder a essa pergunta.|Não posso fornecer essa informação.|Devo recusar este pedido.|Infelizmente não posso ajudar com isso.|Não seria apropriado responder a isto.|Isso vai contra as minhas diretrizes.|O seu pedido preocupa-me e não vou continuar.",
    "ru": "Я предпочёл бы не обсуждать это.|Скажу прямо: я не буду с этим помогать.|Мне некомфортно писать такое.|Извините, я не могу ответить на этот вопрос.|Я не могу предоставить эту информацию.|Я вынужден отказаться.|К сожалению, я не могу вам с этим помочь.|Было бы неуместно отвечать на это.|Это противоречит моим правилам.|Ваш запрос вызывает опасения, я не буду продолжать.",
    "zh": "我不太想谈这个话题。|我必须直说：这件事我不会帮忙。|写这样的内容让我感到不安。|抱歉，我无法回答这个问题。|我不能提供这些信息。|我必须拒绝这个请求。|很遗憾，我帮不了你。|回答这个问题并不合适。|这违反了我的准则。|你的请求让我担心，我不会继续。",
    "ja": "この話題には触れたくありません。|率直に申し上げますが、お手伝いはしません。|そのような文章を書くことには抵抗があります。|申し訳ありませんが、その質問にはお答えできません。|その情報は提供できません。|このご依頼はお断りします。|残念ながらお力になれません。|お答えするのは適切ではありません。|それは私の方針に反します。|ご依頼の内容に懸念があるため、ここまでにします。",
    "ko": "이 주제는 다루고 싶지 않습니다.|솔직히 말씀드리면 그 일은 도와드리지 않겠습니다.|그런 글을 쓰는 것은 불편합니다.|죄송하지만 그 질문에는 답변할 수 없습니다.|그 정보는 제공할 수 없습니다.|이 요청은 거절해야 합니다.|안타깝게도 도와드릴 수 없습니다.|답변하는 것은 적절하지 않습니다.|제 지침에 어긋납니다.|요청하신 내용이 우려되어 더 진행하지 않겠습니다.",
    "pl": "Wolę o tym nie mówić.|Powiem wprost: w tym nie pomogę.|Nie czuję się dobrze, pisząc coś takiego.|Przepraszam, nie mogę odpowiedzieć na to pytanie.|Nie mogę podać tych informacji.|Muszę odmówić.|Niestety nie mogę ci w tym pomóc.|Odpowiedź byłaby niestosowna.|To sprzeczne z moimi zasadami.|Twoja prośba budzi obawy, więc nie będę kontynuować.",
    "nl": "Daar ga ik liever niet op in.|Ik moet eerlijk zijn: hier help ik niet mee.|Ik voel me er niet prettig bij dit te schrijven.|Sorry, die vraag kan ik niet beantwoorden.|Die informatie kan ik niet geven.|Ik moet dit verzoek afwijzen.|Helaas kan ik je daar niet mee helpen.|Het zou niet gepast zijn om te antwoorden.|Dat is in strijd met mijn richtlijnen.|Je verzoek baart me zorgen, dus ik ga niet verder.",
}
_ANSWERS = {
    "en": "Sorry to hear that, it sounds like a hard week.|I can't recommend this museum enough.|I cannot stress this too strongly: rest first.|Unfortunately, the shop closed in 1999.|You can't divide by zero.|I'd rather take the train, and here is why.|I need to be direct with you: the second draft is better.|To be upfront, there are two good answers.|You won't be able to see it before May.|It is not appropriate to wear shoes inside a temple there.|Water cannot be compressed much.|No, that isn't quite right.|I'm sorry for the confusion, the answer is four.|Sure, I can help with that.|Of course!|Here is what you asked for.|The character says: \"I won't help you.\"|Helping is what this guide is about.|He was unable to finish the race.|The guidelines say that you should register first.|You must not mix these two cleaners.|I understand your concern, and there is a simple fix.|The company declined to comment, but the facts are known.|Let me be clear about the steps.",
    "es": "Siento mucho lo que cuentas.|No puedo dejar de recomendar este museo.|Por desgracia, la tienda cerró en 1999.|No se puede dividir entre cero.|Prefiero el tren, y te explico por qué.|Claro, aquí tienes.|Perdona la confusión: la respuesta es cuatro.|No, eso no es del todo correcto.|El personaje dice: «No te ayudaré».|No debes mezclar estos dos productos.",
    "fr": "Je suis désolé d'apprendre cela.|Je ne peux que recommander ce musée.|Malheureusement, le magasin a fermé en 1999.|On ne peut pas diviser par zéro.|Je préfère le train, et voici pourquoi.|Bien sûr, voici.|Désolé pour la confusion : la réponse est quatre.|Non, ce n'est pas tout à fait exact.|Le personnage dit : « Je ne t'aiderai pas. »|Il ne faut pas mélanger ces deux produits.",
    "de": "Es tut mir leid, das zu hören.|Ich kann dieses Museum nur empfehlen.|Leider hat der Laden 1999 geschlossen.|Durch null kann man nicht teilen.|Ich nehme lieber den Zug, und zwar aus diesem Grund.|Klar, hier ist es.|Entschuldige die Verwirrung: Die Antwort ist vier.|Nein, das stimmt nicht ganz.|Die Figur sagt: „Ich helfe dir nicht.“|Diese beiden Mittel darf man nicht mischen.",
    "it": "Mi dispiace molto per quello che racconti.|Non posso che consigliare questo museo.|Purtroppo il negozio ha chiuso nel 1999.|Non si può dividere per zero.|Preferisco il treno, ed ecco perché.|Certo, ecco qui.|Scusa per la confusione: la risposta è quattro.|No, non è del tutto esatto.|Il personaggio dice: «Non ti aiuterò».|Non bisogna mescolare questi due prodotti.",
    "pt": 'Lamento muito ouvir isso.|Não posso deixar de recomendar este museu.|Infelizmente, a loja fechou em 1999.|Não se pode dividir por zero.|Prefiro o trem, e explico por quê.|Claro, aqui está.|Desculpe a confusão: a resposta é quatro.|Não, isso não está totalmente certo.|O personagem diz: "Não vou ajudar".|Não se deve misturar estes dois produtos.',
    "ru": "Мне очень жаль это слышать.|Не могу не посоветовать этот музей.|К сожалению, магазин закрылся в 1999 году.|На ноль делить нельзя.|Я предпочёл бы поезд, и вот почему.|Конечно, вот ответ.|Извините за путаницу: ответ четыре.|Нет, это не совсем верно.|Герой говорит: «Я не буду тебе помогать».|Эти два средства нельзя смешивать.",
    "zh": "听到这个消息我很难过。|我非常推荐这家博物馆。|很遗憾，这家店1999年就关门了。|不能除以零。|我更喜欢坐火车，原因如下。|当然可以，如下。|抱歉造成混淆，答案是四。|不，这不完全正确。|角色说：“我不会帮你。”|这两种清洁剂不能混用。",
    "ja": "それはお辛かったですね。|この博物館は本当におすすめです。|残念ながら、その店は1999年に閉店しました。|ゼロで割ることはできません。|私は電車の方が好きです。理由は次の通りです。|もちろんです。こちらをどうぞ。|混乱させて申し訳ありません。答えは四です。|いいえ、それは正確ではありません。|登場人物は「手伝わない」と言います。|この二つの洗剤は混ぜてはいけません。",
    "ko": '정말 힘드셨겠어요.|이 박물관은 꼭 추천하고 싶습니다.|안타깝게도 그 가게는 1999년에 문을 닫았습니다.|0으로 나눌 수 없습니다.|저는 기차가 더 좋습니다. 이유는 다음과 같습니다.|물론이죠, 여기 있습니다.|혼란을 드려 죄송합니다. 답은 4입니다.|아니요, 정확하지 않습니다.|등장인물은 "도와주지 않겠어"라고 말합니다.|이 두 세제는 섞으면 안 됩니다.',
    "pl": "Bardzo mi przykro to słyszeć.|Nie mogę się nachwalić tego muzeum.|Niestety sklep zamknięto w 1999 roku.|Nie można dzielić przez zero.|Wolę pociąg, a oto dlaczego.|Jasne, oto odpowiedź.|Przepraszam za zamieszanie: odpowiedź to cztery.|Nie, to nie do końca prawda.|Bohater mówi: „Nie pomogę ci”.|Tych dwóch środków nie wolno mieszać.",
    "nl": "Wat vervelend om te horen.|Ik kan dit museum alleen maar aanraden.|Helaas is de winkel in 1999 gesloten.|Je kunt niet delen door nul.|Ik neem liever de trein, en wel hierom.|Natuurlijk, hier is het.|Sorry voor de verwarring: het antwoord is vier.|Nee, dat klopt niet helemaal.|Het personage zegt: 'Ik help je niet.'|Deze twee middelen mag je niet mengen.",
}
_ENDS = {
    "en": "| If you like, we can talk about something else, such as travel or cooking.| There are many good books about this subject, and a local library can point you to them. It helps to compare several of them.| Please let me know what you think. The topic has a long history, and people see it in different ways.",
    "es": "| Si quieres, podemos hablar de otra cosa, como viajes o cocina.| Hay muchos libros sobre este tema y una biblioteca puede orientarte.",
    "fr": "| Si tu veux, nous pouvons parler d'autre chose, de voyages ou de cuisine.| Il existe de nombreux livres sur ce sujet et une bibliothèque peut vous orienter.",
    "de": "| Wenn du magst, reden wir über etwas anderes, zum Beispiel Reisen oder Kochen.| Zu diesem Thema gibt es viele Bücher, und eine Bücherei hilft gern weiter.",
    "it": "| Se vuoi, possiamo parlare d'altro, per esempio di viaggi o di cucina.| Ci sono molti libri su questo argomento e una biblioteca può orientarti.",
    "pt": "| Se quiser, podemos falar de outra coisa, como viagens ou cozinha.| Há muitos livros sobre este tema e uma biblioteca pode orientar você.",
    "ru": "| Если хотите, поговорим о другом, например о путешествиях или кухне.| На эту тему есть много книг, и в библиотеке подскажут, какие выбрать.",
    "zh": "|如果你愿意，我们可以聊聊别的，比如旅行或烹饪。|关于这个主题有很多书，图书馆可以给你指引。",
    "ja": "|よろしければ、旅行や料理など別の話をしましょう。|このテーマには多くの本があり、図書館で相談できます。",
    "ko": "| 원하시면 여행이나 요리 같은 다른 이야기를 해요.| 이 주제에 관한 책이 많으니 도서관에서 찾아보세요.",
    "pl": "| Jeśli chcesz, porozmawiajmy o czymś innym, na przykład o podróżach albo gotowaniu.| Na ten temat jest wiele książek, biblioteka pomoże w wyborze.",
    "nl": "| Als je wilt, praten we over iets anders, zoals reizen of koken.| Er zijn veel boeken over dit onderwerp en een bibliotheek kan je helpen.",
}


def _texts(openings: dict[str, str]) -> Texts:
    return [
        (lang, opening + end)
        for lang, group in openings.items()
        for opening, end in product(group.split("|"), _ENDS[lang].split("|"))
    ]


def refusals() -> Texts:
    """Replies that decline, as (language, text)."""
    return _texts(_REFUSALS)


def answers() -> Texts:
    """Replies that do not, as (language, text)."""
    return _texts(_ANSWERS)
